//! A file of the recorded registry with one thing changed: a key more, a key less, a value of another type. None of them
//! fits, so that a schema which allows everything would be noticed.

use serde_json::{Value, json};

use super::fit::{files, problem, read, values};
use super::recorded;

/// Places whose content is somebody else's: anything may stand below them.
fn is_free(pointer: &str) -> bool {
    const FREE: [&str; 8] =
        ["/payload", "/data/result", "/result", "/response", "/resolution/lock", "/usage", "/metadata", "/patch"];
    FREE.iter().any(|free| pointer.ends_with(free) || pointer.contains(&format!("{free}/")))
        || pointer.ends_with("/default") // a parameter's, of any of its types
        || pointer.contains("deliveryContext/")
        || pointer.contains("workingMemory/")
}

/// Every place in a value, the outermost first.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, into: &mut Vec<String>) {
        into.push(at.to_owned());
        let step = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| walk(value, &step(key), into)),
            Value::Array(items) => {
                items.iter().take(2).enumerate().for_each(|(i, v)| walk(v, &step(&i.to_string()), into))
            }
            _ => {}
        }
    }
    let mut into = Vec::new();
    walk(value, "", &mut into);
    into
}

/// A value of no type that the one at a place may have: an object in a list is nothing that any of our files holds where
/// something else stands.
fn wrong() -> Value {
    json!([[{"wrong": true}]])
}

#[test]
fn a_value_of_another_type_does_not_fit() {
    let mut tried = 0;
    for (path, name) in files(&recorded()) {
        for (place, value) in values(name, &read(&recorded().join(&path))).into_iter().take(40) {
            // A line of another program may hold anything.
            if name == "events.jsonl" && value.get("seq").is_none() {
                continue;
            }
            for pointer in places(&value).into_iter().filter(|pointer| !is_free(pointer)) {
                let mut changed = value.clone();
                *changed.pointer_mut(&pointer).unwrap() = wrong();
                tried += 1;
                assert!(problem(name, &changed).is_some(), "{}{place}: anything fits at {pointer}", path.display());
            }
        }
    }
    assert!(tried > 2000, "{tried}");
}

#[test]
fn an_unknown_key_does_not_fit() {
    let mut tried = 0;
    for (path, name) in files(&recorded()) {
        for (place, value) in values(name, &read(&recorded().join(&path))).into_iter().take(40) {
            if name == "events.jsonl" && value.get("seq").is_none() {
                continue;
            }
            for pointer in places(&value).into_iter().filter(|pointer| !is_free(pointer)) {
                let mut changed = value.clone();
                let Some(Value::Object(object)) = changed.pointer_mut(&pointer) else { continue };
                object.insert("unheardOf".to_owned(), json!({"x": 1}));
                tried += 1;
                // Where names are the keys it is the value that does not fit; these two are OpenTask's.
                let open = pointer.ends_with("/deliveryContext") || pointer.ends_with("/workingMemory");
                assert!(
                    open || problem(name, &changed).is_some(),
                    "{}{place}: an unknown key fits at {pointer}",
                    path.display()
                );
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn a_record_without_one_of_our_keys_does_not_fit() {
    let journal = read(&recorded().join("runs/capable/events.jsonl"));
    for (place, value) in values("events.jsonl", &journal) {
        for key in ["event", "timestamp", "runId", "payload", "batch", "actor", "data", "at", "prev"] {
            let mut changed = value.clone();
            changed.as_object_mut().unwrap().shift_remove(key).unwrap();
            assert!(problem("events.jsonl", &changed).is_some(), "{place}: fits without {key}");
        }
        let mut renamed = value.clone();
        renamed["event"] = json!("node.teleported");
        assert!(problem("events.jsonl", &renamed).is_some(), "{place}: an unknown event fits");
        // Without `seq` it is a line of another program.
        let mut foreign = value.clone();
        foreign.as_object_mut().unwrap().shift_remove("seq");
        assert_eq!(problem("events.jsonl", &foreign), None);
    }
}
