//! Another model name in a body that otherwise passes byte for byte.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
}

/// `body` with `model` as the value of its member `model`; `None` if it has none.
pub(super) fn rename(body: &Bytes, model: &str) -> Option<Bytes> {
    let named: Named<'_> = serde_json::from_slice(body).ok()?;
    let value = named.model.get();
    // The raw value is a slice of the body.
    let at = (value.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let (before, after) = (body.get(..at)?, body.get(at + value.len()..)?);
    let name = serde_json::to_vec(model).ok()?;
    Some([before, &name, after].concat().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_name_changes() {
        let body = Bytes::from_static(b"{ \"a\":{\"model\":\"x\"}, \"model\" :  \"f\\u0061st\" ,\"b\":1.50}");
        let renamed = rename(&body, "big \"one\"").unwrap();
        assert_eq!(&renamed[..], b"{ \"a\":{\"model\":\"x\"}, \"model\" :  \"big \\\"one\\\"\" ,\"b\":1.50}");
        assert!(rename(&Bytes::from_static(b"{}"), "m").is_none());
    }
}
