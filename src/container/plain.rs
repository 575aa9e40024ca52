//! What a plain `docker run` of an image would be: made, looked at, removed, and never started.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptions;

use super::effective::Promised;
use super::engine::Engine;
use super::error::Error;
use super::grade::Graded;
use super::image_ref::ImageRef;
use super::labels::REGISTRY;

impl Engine {
    /// The grade of a container of `image` without a single setting. It carries `registry`'s label while it is there, so
    /// that a kill removes it; `permit` stands for the caller's right to make containers now.
    ///
    /// # Errors
    /// As [`Engine::ensure_started`].
    pub async fn grade_plain<P: Sync>(&self, image: &ImageRef, registry: &str, _permit: &P) -> Result<Graded, Error> {
        let body = ContainerCreateBody {
            image: Some(image.to_string()),
            // An image without a command of its own could not be made a container of; what it would be is not run.
            cmd: Some(vec!["true".to_owned()]),
            labels: Some([(REGISTRY.to_owned(), registry.to_owned())].into_iter().collect()),
            ..ContainerCreateBody::default()
        };
        let made = self.docker().create_container(None::<CreateContainerOptions>, body).await;
        let made = made.map_err(|error| self.explain(format!("make a container of `{image}`"), error))?;
        let graded = self.effective(&made.id, None, std::path::Path::new("/nonexistent"), &Promised::default()).await;
        self.remove(&made.id).await?;
        graded?.ok_or(Error::NotFound { name: made.id })
    }
}
