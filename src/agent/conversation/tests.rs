#![allow(clippy::unwrap_used)]
use super::*;
use crate::agent::turn::tests::{any_answer, any_json};
use proptest::prelude::*;

fn brief() -> Brief {
    Brief {
        system: "s".into(),
        prompt: "p".into(),
        model: "m".into(),
        iterations: 9,
        outputs: vec![],
        inputs: vec![],
        memory: false,
        delegates: false,
        notices: vec![],
    }
}

fn asks(ids: &[&str]) -> Value {
    let calls: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "type": "function", "function": {"name": "shell", "arguments": "{\"command\":\"ls\"}"}}))
        .collect();
    json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": calls}}]})
}

fn ids(conversation: &Conversation) -> Vec<String> {
    conversation.messages().iter().filter_map(answered).collect()
}

#[test]
fn a_fresh_conversation_asks() {
    let mut conversation = Conversation::start(&brief());
    assert_eq!(conversation.next(), Next::Ask);
    assert_eq!(conversation.messages().len(), 2);
}

#[test]
fn results_stand_in_the_order_of_their_calls() {
    let mut conversation = Conversation::start(&brief());
    conversation.accept(&asks(&["a", "b", "c"])).unwrap();
    for id in ["c", "a", "a", "unknown", "b"] {
        conversation.answer(id, &json!({"of": id}));
    }
    assert_eq!(ids(&conversation), ["a", "b", "c"]);
    assert_eq!(conversation.next(), Next::Ask);
}

#[test]
fn a_resumed_conversation_continues_as_if_it_had_not_stopped() {
    let mut whole = Conversation::start(&brief());
    whole.accept(&asks(&["a", "b"])).unwrap();
    let mut from_records = whole.messages().to_vec();
    whole.answer("a", &json!({"exit": 0}));
    whole.answer("b", &json!({"status": "approved"}));

    // What the gate has: the later result first, and one that belongs to nothing.
    from_records
        .push(json!({"role": "tool", "tool_call_id": "b", "content": json!({"status": "approved"}).to_string()}));
    from_records.push(json!({"role": "tool", "tool_call_id": "zzz", "content": "{}"}));
    let mut resumed = Conversation::resume(&from_records).unwrap();
    assert_eq!(resumed.pending().iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["a"]);
    resumed.answer("a", &json!({"exit": 0}));
    assert_eq!(resumed.unrecorded(), [("a".to_owned(), "{\"exit\":0}".to_owned())]);
    assert_eq!(resumed.next(), Next::Ask);
    assert_eq!(resumed.messages(), whole.messages());
}

#[test]
fn nothing_said_is_nothing_to_resume() {
    assert!(Conversation::resume(&[]).is_none());
    assert!(Conversation::resume(&[json!("x"), json!({"content": "no role"})]).is_none());
}

#[test]
fn a_model_that_only_talks_is_told_once_and_then_given_up() {
    let talk = json!({"choices": [{"message": {"content": "I would run ls."}}]});
    let mut conversation = Conversation::start(&brief());
    conversation.accept(&talk).unwrap();
    assert_eq!(conversation.next(), Next::Ask);
    assert_eq!(conversation.messages().last().unwrap()["content"], NUDGE);
    conversation.accept(&talk).unwrap();
    assert!(matches!(conversation.next(), Next::GiveUp(_)));

    // A new attempt gives the model its chances again, and a call in between does so too.
    let mut again = Conversation::resume(conversation.messages()).unwrap();
    assert_eq!(again.next(), Next::Ask);
    again.accept(&talk).unwrap();
    assert_eq!(again.next(), Next::Ask);
    again.accept(&asks(&["a"])).unwrap();
    again.answer("a", &json!({}));
    again.accept(&talk).unwrap();
    assert_eq!(again.next(), Next::Ask);
}

/// What a gate's records could hold at worst: results of nothing, calls without results, no messages at all.
fn any_record() -> impl Strategy<Value = Value> {
    const IDS: [&str; 4] = ["a", "b", "c", ""];
    let id = proptest::sample::select(IDS.as_slice());
    prop_oneof![
        any_json(),
        any_json().prop_map(|content| json!({"role": "user", "content": content})),
        (id.clone(), any_json())
            .prop_map(|(id, content)| json!({"role": "tool", "tool_call_id": id, "content": content})),
        proptest::collection::vec(id, 0..4).prop_map(|ids| asks(&ids)["choices"][0]["message"].clone()),
    ]
}

proptest! {
    /// Whatever a model answers, the conversation goes on or gives up; every call is answered exactly once, right
    /// behind its message; and resuming from any point gives the same conversation.
    #[test]
    fn any_answers_keep_the_conversation_valid(answers in proptest::collection::vec(any_answer(), 0..8)) {
        let mut conversation = Conversation::start(&brief());
        for answer in &answers {
            match conversation.next() {
                Next::Ask => {}
                Next::GiveUp(_) => return Ok(()),
                Next::Run(calls) => {
                    let at_stop = Conversation::resume(conversation.messages()).unwrap();
                    prop_assert_eq!(at_stop.pending(), calls.clone());
                    for call in calls.iter().rev() {
                        conversation.answer(&call.id, &json!({"error": "x"}));
                    }
                    prop_assert!(conversation.pending().is_empty());
                }
            }
            prop_assert_eq!(conversation.next(), Next::Ask);
            let resumed = Conversation::resume(conversation.messages()).unwrap();
            prop_assert_eq!(resumed.messages(), conversation.messages());
            let before = conversation.messages().len();
            if conversation.accept(answer).is_err() {
                prop_assert_eq!(conversation.messages().len(), before);
            }
        }
        let expected: Vec<String> =
            conversation.messages().iter().flat_map(turn::calls).map(|call| call.id).collect();
        let pending = conversation.pending().len();
        prop_assert_eq!(ids(&conversation), expected[..expected.len() - pending].to_vec());
    }

    #[test]
    fn any_records_can_be_resumed(messages in proptest::collection::vec(any_record(), 0..12)) {
        if let Some(mut conversation) = Conversation::resume(&messages) {
            if let Next::Run(calls) = conversation.next() {
                for call in calls {
                    conversation.answer(&call.id, &json!({}));
                }
            }
            prop_assert!(conversation.pending().is_empty());
        }
    }
}
