//! What an attempt is asked to do. The host writes it, the gate hands it out, the built-in agent reads it; nothing in
//! it may differ between two attempts at the same work except what a person decided.

use serde::Deserialize;

/// The body of `GET /taskforge/v1/brief`, as far as the built-in agent needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Brief {
    /// The system message; [`system_text`] makes the host's.
    pub system: String,
    /// The user message: the node's prompt.
    pub prompt: String,
    /// The name the gate chooses the provider by.
    pub model: String,
    /// Chat requests the node may make, over all its attempts; the gate counts them.
    #[serde(default = "default_iterations")]
    pub iterations: u64,
    /// Files that must exist under `/workspace` at the end, relative to it.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Absolute paths of what the node was given.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Whether there is a memory to work with.
    #[serde(default)]
    pub memory: bool,
    /// Whether there is somebody to give work to.
    #[serde(default)]
    pub delegates: bool,
    /// What it was told it has and has no more, a sentence each.
    #[serde(default)]
    pub notices: Vec<String>,
}

fn default_iterations() -> u64 {
    30
}

/// The system message of the built-in agent: where it is, what it has, how it asks for more and when it is done.
///
/// `outputs` are relative to the workspace, `inputs` absolute, `capabilities` the granted ones (`pip:pygal==3.0.5`).
/// The same arguments give the same text, byte for byte: recorded conversations are matched by their digest.
#[must_use]
pub fn system_text(outputs: &[String], inputs: &[String], capabilities: &[String]) -> String {
    let mut text = String::from(
        "You are an agent in a sealed Linux container. Work on the task you are given until it is done.\n\
         \n\
         - Your working directory is /workspace. It is yours to write, and it outlives this container.\n\
         - /inputs holds what you were given. It is read-only.\n\
         - There is no network. Nothing can be downloaded, and no package can be installed by hand: pip, apt and npm \
         fail here.\n\
         - If you need a package, ask with the tool request_capability: `pip:NAME` for a Python package, `apt:NAME` \
         for a Debian one, with a reason that a person can judge. A person decides; the package is there when the \
         answer says `approved`. If it says `denied`, read the comment and find another way.\n\
         - Commands end with the shell call that started them; nothing keeps running in the background.\n",
    );
    section(&mut text, "What you were given", inputs, "");
    section(&mut text, "What was granted to you", capabilities, "");
    section(&mut text, "Files you must write", outputs, "/workspace/");
    text.push_str(
        "\nWhen the work is done and every required file is written, call the tool finish with a short summary. Answer \
         only with tool calls: text alone does nothing.\n",
    );
    text
}

/// What OpenClaw is told before its task: its own system message knows nothing of the container, and each turn is a
/// conversation of its own. `outcomes` say what became of what it asked for; the others are those of [`system_text`].
#[must_use]
pub fn openclaw_text(outputs: &[String], inputs: &[String], capabilities: &[String], outcomes: &[String]) -> String {
    let mut text = String::from(
        "You work alone in a sealed Linux container: nobody answers questions, and this one turn is all you have.\n\
         \n\
         - Your working directory is /workspace. It is yours to write, and it outlives this container; what lies there \
         may be from an earlier turn at the same task.\n\
         - /inputs holds what you were given. It is read-only.\n\
         - There is no network. Nothing can be downloaded, and no package can be installed by hand.\n\
         - If you need a package, run `/taskforge/bin/taskforge agent request pip:NAME --reason 'why' --wait 60` \
         (`apt:NAME` for a Debian package, `npm:NAME` for one of npm). A person decides. Exit code 0: it is yours. \
         Exit code 4: find another way. Exit code 75: it is not decided yet; end your turn at once, you are called \
         again when it is.\n",
    );
    section(&mut text, "What you were given", inputs, "");
    section(&mut text, "What was granted to you", capabilities, "");
    section(&mut text, "What became of your requests, in the words of who decided", outcomes, "");
    section(&mut text, "Files you must write", outputs, "/workspace/");
    text
}

/// What an agent with a role is told of itself, after where it is: who it is, which skills it can read, and what it
/// remembers. `skills` are names with a sentence each; `memory` is empty where there is none.
#[must_use]
pub fn persona_text(soul: &str, skills: &[(&str, &str)], memory: &str) -> String {
    let mut text = format!("\nWho you are:\n\n{}\n", soul.trim());
    if !skills.is_empty() {
        text.push_str("\nYour skills; read one before you use it:\n");
        for (name, description) in skills {
            text.push_str(&format!("- /taskforge/role/skills/{name}/SKILL.md: {description}\n"));
        }
    }
    if !memory.is_empty() {
        text.push_str(&format!("\n{memory}"));
    }
    text
}

/// What an agent without our tools is told of the gate's other doors, behind who it is: the verbs that open those which its role
/// opens. Empty where none is open.
#[must_use]
pub fn verbs_text(memory: bool, actions: bool, children: bool) -> String {
    let verbs = [
        (
            memory,
            "memory list`, `… get KEY`, `… set KEY TEXT`, `… rm KEY`: what you keep from one task to the next. It is the only \
             memory that outlives this container.",
        ),
        (
            actions,
            "action`: lists what is done for you by those who hold the keys; `… action NAME --arg KEY=VALUE` does it.",
        ),
        (children, "delegate ROLE 'TASK' --wait 60`: gives a part of the work to somebody else."),
    ];
    let lines: String = verbs
        .into_iter()
        .filter(|(open, _)| *open)
        .map(|(_, words)| format!("- `/taskforge/bin/taskforge agent {words}\n"))
        .collect();
    if lines.is_empty() { lines } else { format!("\nWhat is open to you; each answers with JSON:\n{lines}") }
}

/// What the built-in agent is told of what its role opens, behind who it is: the actions, by name, and the roles that it
/// may give work to. Empty where there is neither.
///
/// Both are as the role says, and not as a person granted meanwhile: the text is the same in every attempt.
#[must_use]
pub fn role_text(actions: &[String], delegates_to: &[String]) -> String {
    let mut lines = String::new();
    if !actions.is_empty() {
        lines.push_str(&format!(
            "- With the tool act: {}. Without an action it lists on what each may be used. Anything else is asked for with \
             request_capability, as the refusal says.\n",
            actions.join(", ")
        ));
    }
    if !delegates_to.is_empty() {
        lines.push_str(&format!(
            "- With the tool delegate: a part of your work can be given to {}.\n",
            delegates_to.join(", ")
        ));
    }
    if lines.is_empty() { lines } else { format!("\nWhat your role lets you do:\n{lines}") }
}

fn section(text: &mut String, title: &str, items: &[String], prefix: &str) {
    if items.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n"));
    for item in items {
        text.push_str(&format!("- {prefix}{item}\n"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_everything_once() {
        let text = system_text(
            &["report.md".into(), "chart.svg".into()],
            &["/inputs/sales.csv".into()],
            &["pip:pygal==3.0.5".into()],
        );
        for part in
            ["- /workspace/report.md\n- /workspace/chart.svg\n", "- /inputs/sales.csv\n", "- pip:pygal==3.0.5\n"]
        {
            assert_eq!(text.matches(part).count(), 1, "{part}");
        }
        assert!(!system_text(&[], &[], &[]).contains("Files you must write"));
    }

    #[test]
    fn only_open_doors_are_spoken_of() {
        assert_eq!(verbs_text(false, false, false), "");
        let text = verbs_text(true, false, true);
        assert!(text.contains("agent memory list`") && text.contains("agent delegate ROLE"), "{text}");
        assert!(!text.contains("action"), "{text}");
    }

    #[test]
    fn a_role_that_opens_nothing_is_not_spoken_of() {
        assert_eq!(role_text(&[], &[]), "");
        let text = role_text(&["github.pr.list".into(), "slack.post".into()], &[]);
        assert!(text.contains("tool act: github.pr.list, slack.post.") && !text.contains("delegate"), "{text}");
        let text = role_text(&[], &["worker".into(), "other".into()]);
        assert!(text.contains("given to worker, other.") && !text.contains("tool act"), "{text}");
    }

    #[test]
    fn a_brief_may_say_little() {
        let brief: Brief =
            serde_json::from_str(r#"{"system":"s","prompt":"p","model":"m","something":"new"}"#).unwrap();
        assert_eq!(brief.iterations, 30);
        assert!(brief.outputs.is_empty());
    }
}
