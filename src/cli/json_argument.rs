//! JSON given as an argument, as OpenTask's command line takes it.

use serde_json::{Map, Value};

use crate::failure::{Failure, Kind};

/// The longest JSON argument, in bytes.
const LONGEST: usize = 1 << 20;

/// An object, empty if the argument is absent; `name` is the option, for messages.
pub(crate) fn object(name: &str, text: Option<&str>) -> Result<Map<String, Value>, Failure> {
    match value(name, text)? {
        None => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Failure::new(Kind::Usage, format!("{name} is not a JSON object"))),
    }
}

/// A list of strings, empty if the argument is absent.
pub(crate) fn strings(name: &str, text: Option<&str>) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::new(Kind::Usage, format!("{name} is not a JSON list of strings"));
    match value(name, text)? {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn value(name: &str, text: Option<&str>) -> Result<Option<Value>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > LONGEST {
        return Err(Failure::new(Kind::Usage, format!("{name} is longer than {LONGEST} bytes")));
    }
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| Failure::new(Kind::Usage, format!("{name} is not JSON: {error}")))
}
