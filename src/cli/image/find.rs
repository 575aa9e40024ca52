//! `taskforge image find`.

use clap::Args;
use serde_json::json;

use crate::cli::root::Context;
use crate::cli::table::Table;
use crate::cli::terminal::plain;
use crate::engine::{self, Shelved};
use crate::failure::{Failure, Kind};
use crate::image::Layer;
use crate::provider::glob_matches;

/// Find the images that hold a package, and the runs that were given them
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// The package's name, also as this command prints it (`apt:libc6:amd64`); `*` stands for anything
    package: String,
    /// Only this version; `*` stands for anything
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
}

struct Found {
    image: String,
    package: String,
    version: String,
    layer: &'static str,
    runs: Vec<String>,
}

/// What is looked for, as a person writes it or as this command prints it: `libc6`, `apt:libc6`, `apt:libc6:amd64`.
struct Wanted<'a> {
    kind: Option<&'a str>,
    name: String,
    version: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(package: &'a str, version: Option<&'a str>) -> Self {
        let (kind, name) = match package.split_once(':') {
            Some((kind @ ("apt" | "pip" | "npm"), name)) => (Some(kind), name),
            _ => (None, package),
        };
        Self { kind, name: name.to_ascii_lowercase(), version }
    }

    /// Whether a package fits that is called `name` (`npm:a/node_modules/b`), and `real` where that is another name.
    fn fits(&self, name: &str, real: Option<&str>, version: &str) -> bool {
        let (kind, place) = name.split_once(':').unwrap_or(("", name));
        // An architecture, or the packages around one of npm's.
        let bare = match kind {
            "apt" => place.split(':').next(),
            "npm" => place.rsplit("node_modules/").next(),
            _ => None,
        };
        let mut names = [Some(place), bare, real].into_iter().flatten();
        self.kind.is_none_or(|wanted| wanted == kind)
            && names.any(|name| glob_matches(&self.name, &name.to_ascii_lowercase()))
            && self.version.is_none_or(|glob| glob_matches(glob, version))
    }

    /// The packages of an image that fit: name, version, and where it is from.
    fn of(&self, image: &Shelved) -> Vec<(String, String, Layer)> {
        let lock = image.recipe.lock();
        let mut found: Vec<(String, String, Layer)> = Vec::new();
        let mut add = |name: String, real: Option<&str>, version: &str, layer| {
            if self.fits(&name, real, version) && found.iter().all(|(there, ..)| *there != name) {
                found.push((name, version.to_owned(), layer));
            }
        };
        for pin in lock.npm() {
            add(format!("npm:{}", pin.place()), Some(&pin.name), &pin.version, Layer::Approved);
        }
        for (name, version, _) in lock.pins().filter(|(name, ..)| !name.starts_with("npm:")) {
            add(name, None, version, Layer::Approved);
        }
        for (_, inner) in lock.bundled() {
            add(format!("npm:{}", inner.place()), Some(&inner.name), &inner.version, Layer::Bundled);
        }
        for (name, version, layer) in image.installed.iter().flat_map(|installed| installed.beyond(lock)) {
            let place = name.strip_prefix("npm:").map(|place| format!("node_modules/{place}"));
            let said = place.and_then(|place| image.installed.as_ref()?.npm.get(&place));
            let real = said.and_then(|said| said.rsplit_once('@')).map(|(real, _)| real);
            add(name, real, version, layer);
        }
        found
    }
}

impl Find {
    pub(super) fn run(self, context: &Context<'_>) -> Result<(), Failure> {
        let registry = context.registry()?;
        let users = engine::users_of_images(&registry)?;
        let wanted = Wanted::new(&self.package, self.version.as_deref());
        let shelf = engine::shelf(&registry)?;
        let mut found = Vec::new();
        let mut unsearched = shelf.unreadable;
        for image in shelf.images {
            let runs: Vec<String> = users.get(&image.identity).into_iter().flatten().map(ToString::to_string).collect();
            for (package, version, layer) in wanted.of(&image) {
                let (image, layer) = (image.recipe.tag(), layer.as_str());
                found.push(Found { image, package, version, layer, runs: runs.clone() });
            }
            // Where its only build failed there is none that could hold anything.
            if image.installed.is_none() && image.failure.is_none() {
                let why = "what its base holds is not known here: `taskforge image sbom` reads it";
                unsearched.push((image.identity.short().to_owned(), why.to_owned()));
            }
        }
        unsearched.sort();
        let lines = unsearched.iter().map(|(name, why)| format!("images/{}: {}", plain(name), plain(why)));
        if found.is_empty() {
            return Err(nothing(&self.package, lines.collect()));
        }
        for line in lines {
            context.output.warn(&format!("warning: not searched: {line}"));
        }
        let value: Vec<_> = found
            .iter()
            .map(|f| json!({"image": f.image, "package": f.package, "version": f.version, "layer": f.layer, "runs": f.runs}))
            .collect();
        let left: Vec<_> = unsearched.iter().map(|(image, why)| json!({"image": image, "reason": why})).collect();
        context.output.result(&json!({"found": value, "unsearched": left}), || {
            let mut table = Table::new(["IMAGE", "PACKAGE", "VERSION", "LAYER", "RUNS"]);
            for f in &found {
                let runs = if f.runs.is_empty() { "-".to_owned() } else { f.runs.join(", ") };
                table.row([f.image.clone(), f.package.clone(), f.version.clone(), f.layer.to_owned(), runs]);
            }
            table.or("")
        })
    }
}

/// That nothing was found, which is a no only where everything was searched.
fn nothing(package: &str, unsearched: Vec<String>) -> Failure {
    if unsearched.is_empty() {
        return Failure::new(Kind::NotFound, format!("no image of this registry holds `{package}`"));
    }
    let message = format!("no image that could be searched holds `{package}`; {} could not be", unsearched.len());
    Failure { hints: unsearched, ..Failure::new(Kind::Failed, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_by_what_it_is_called_and_by_what_is_printed_of_it() {
        let fits = |wanted: &str, name: &str| Wanted::new(wanted, None).fits(name, Some("real"), "1.0");
        for wanted in ["libc6", "LIBC6", "apt:libc6", "libc6:amd64", "apt:libc6:amd64", "lib*", "apt:libc6:*"] {
            assert!(fits(wanted, "apt:libc6:amd64"), "{wanted}");
        }
        for wanted in ["denied", "npm:denied", "a/node_modules/denied", "npm:a/node_modules/denied", "real", "npm:real"]
        {
            assert!(fits(wanted, "npm:a/node_modules/denied"), "{wanted}");
        }
        assert!(fits("@s/b", "npm:a/node_modules/@s/b") && fits("npm:@s/b", "npm:@s/b"));
        for (wanted, name) in [
            ("pip:libc6", "apt:libc6:amd64"),
            ("libc6:arm64", "apt:libc6:amd64"),
            ("a", "npm:a/node_modules/denied"),
            ("amd64", "apt:libc6:amd64"),
            ("b", "npm:@s/b"),
        ] {
            assert!(!fits(wanted, name), "{wanted} {name}");
        }
        assert!(!Wanted::new("x", Some("2.*")).fits("pip:x", None, "1.0"));
        assert!(Wanted::new("x", Some("2.*")).fits("pip:x", None, "2.1"));
    }

    #[test]
    fn nothing_found_is_a_no_only_where_all_was_searched() {
        assert_eq!(nothing("x", Vec::new()).kind, Kind::NotFound);
        let failure = nothing("x", vec!["images/y: broken".to_owned()]);
        assert_eq!((failure.kind, failure.hints.len()), (Kind::Failed, 1));
    }
}
