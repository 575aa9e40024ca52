//! Why a text is not a capability.

use thiserror::Error;

/// The rule that a text breaks. The text is quoted with its control and direction characters escaped, since it may
/// come from an agent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CapabilityError {
    #[error("a capability is empty; write a kind and a name, such as `pip:pandas==2.2.3`")]
    Empty,
    #[error("capability {shown:?}… is longer than {limit} bytes")]
    TooLong { limit: usize, shown: String },
    #[error("capability {text:?} holds {character:?}; only printable ASCII without spaces can be asked for")]
    Character { text: String, character: char },
    #[error("capability {text:?} has no kind; write `kind:name`, such as `pip:{text}` or `apt:{text}`")]
    NoKind { text: String },
    #[error(
        "capability kind {kind:?} is not known; the kinds are apt, pip, npm, tool, net, tcp, mount, secret, action, \
         llm, budget and port"
    )]
    UnknownKind { kind: String },
    #[error("capability {text:?}: {rule}; an example is `{example}`")]
    Rule { text: String, rule: &'static str, example: &'static str },
}
