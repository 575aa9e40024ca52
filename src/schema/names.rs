//! Schemas of the types that parse a text: what the grammar of each can say as a pattern.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::container::ImageRef;
use crate::run::capability::Capability;
use crate::run::id::{AgentName, Digest, NodeId, RequestId, RoleName, RunId, SkillName, WorkflowId};

/// A size as people write it, such as `512MiB`.
pub(crate) struct Size;

/// A duration as people write it, such as `1h30m`.
pub(crate) struct Span;

/// The grammar of run, node and workflow ids.
pub(super) const NAME: &str = r"^[\p{L}\p{N}\p{M}_][\p{L}\p{N}\p{M}._-]{0,127}$";

/// The grammar of the names of roles, agents and skills.
const LABEL: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

macro_rules! text {
    ($($type:ident: $pattern:expr, $what:literal;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "description": $what})
            }
        })*
    };
}

text! {
    RunId: NAME, "The name of a run's folder.";
    NodeId: NAME, "The name of a node's folder.";
    WorkflowId: NAME, "The id of a workflow.";
    RoleName: LABEL, "The name of a role.";
    AgentName: LABEL, "The name of a hired agent.";
    SkillName: LABEL, "The name of a skill.";
    RequestId: "^([0-9A-HJKMNP-TV-Z]{26}|ap-[0-9a-f]{16})$", "A ULID, or `ap-` and 16 hex digits for an approval node.";
    Digest: "^[0-9a-f]{64}$", "SHA-256.";
    Capability: "^(apt|pip|npm|tool|net|tcp|mount|secret|action|llm|budget|port|schedule):[!-~]{1,508}$", "What a container may be given beyond the default.";
    ImageRef: r"^[!-~]{1,512}$", "A Docker image reference.";
    Size: r"^[0-9]{1,12} ?([KMGT]i?B|B)$", "A whole number and a unit.";
    Span: r"^([0-9]{1,12}d)?([0-9]{1,12}h)?([0-9]{1,12}m)?([0-9]{1,12}s)?([0-9]{1,12}ms)?$", "Whole numbers with units, the larger first.";
}
