//! An image of a message: its bytes in a `data:` URL, or the address of it.

use serde_json::Value;

use super::Untranslatable;

/// An `image_url` part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Image {
    Data {
        /// `image/png`.
        kind: String,
        base64: String,
    },
    Url(String),
}

impl Image {
    /// Reads the member `image_url` of the part at `place`. Its `detail` is a hint about cost and has no counterpart.
    pub(super) fn parse(part: &Value, place: &str) -> Result<Self, Untranslatable> {
        let place = format!("{place}.image_url");
        let url = part.pointer("/image_url/url").or_else(|| part.get("image_url")).and_then(Value::as_str);
        let url = url.ok_or_else(|| Untranslatable::malformed(&place, "holds no URL"))?;
        let Some(data) = url.strip_prefix("data:") else {
            return match url.starts_with("https://") || url.starts_with("http://") {
                true => Ok(Self::Url(url.to_owned())),
                false => Err(Untranslatable::malformed(place, "is neither an http(s) nor a data URL")),
            };
        };
        let parts = data.split_once(";base64,").filter(|(kind, base64)| is_kind(kind) && is_base64(base64));
        match parts {
            Some((kind, base64)) => Ok(Self::Data { kind: kind.to_ascii_lowercase(), base64: base64.to_owned() }),
            None => Err(Untranslatable::malformed(place, "is not `data:image/…;base64,…`")),
        }
    }
}

fn is_kind(kind: &str) -> bool {
    let name = kind.strip_prefix("image/").unwrap_or_default();
    !name.is_empty() && name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}
