//! Pictures that nodes left, inside the page. A browser draws an image without running its scripts or loading anything
//! for it, whatever its format; what it is given here is known by its first bytes, not by its name alone.

/// The formats that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
    Gif,
    Webp,
    Svg,
}

impl Format {
    /// What `bytes` of a file called `name` are; `None` if that is no picture we show.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let found = match ending.as_str() {
            "png" if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Self::Png,
            "jpg" | "jpeg" if bytes.starts_with(b"\xff\xd8\xff") => Self::Jpeg,
            "gif" if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") => Self::Gif,
            "webp" if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => Self::Webp,
            "svg" if is_svg(bytes) => Self::Svg,
            _ => return None,
        };
        Some(found)
    }

    const fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Text that has the element, and no entities of its own: they can grow without bound.
fn is_svg(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.contains("<svg") && !text.contains("<!ENTITY"))
}

/// The address that holds the picture itself.
pub(super) fn address(format: Format, bytes: &[u8]) -> String {
    format!("data:{};base64,{}", format.mime(), base64(bytes))
}

/// Whether `address` is one that [`address`] makes: a picture, and nothing else that a page could be.
pub(super) fn is_picture(address: &str) -> bool {
    let data = address.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    data.is_some_and(|(kind, data)| {
        let is_known = matches!(kind, "png" | "jpeg" | "gif" | "webp" | "svg+xml");
        is_known && data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    })
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        let said = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(said, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn pictures_are_known_by_name_and_bytes() {
        assert_eq!(Format::of("a.svg", b"<svg></svg>"), Some(Format::Svg));
        assert_eq!(Format::of("a.PNG", b"\x89PNG\r\n\x1a\n..."), Some(Format::Png));
        for (name, bytes) in [
            ("a.png", &b"<html>"[..]),
            ("a.svg", b"<html>"),
            ("a.svg", b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg>&a;</svg>"),
            ("a.html", b"<svg>"),
            ("svg", b"<svg>"),
        ] {
            assert_eq!(Format::of(name, bytes), None, "{name}");
        }
    }

    #[test]
    fn only_pictures_are_sources() {
        assert!(is_picture(&address(Format::Svg, b"<svg/>")));
        for bad in [
            "data:text/html;base64,YQ==",
            "data:image/png,x",
            "data:image/x;base64,YQ==",
            "https://a",
            "data:image/png;base64,\"><b>",
        ] {
            assert!(!is_picture(bad), "{bad}");
        }
    }
}
