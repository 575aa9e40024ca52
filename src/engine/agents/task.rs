//! A task as a run: one node, which the agent does.

use crate::run::id::AgentName;
use crate::workflow::prompt;

/// What an agent is to do.
#[derive(Debug, Clone)]
pub struct Task {
    pub agent: AgentName,
    pub text: String,
    /// What the run is called after, if not the first words of the text.
    pub title: Option<String>,
    /// How many attempts may follow one that failed.
    pub retries: u32,
}

impl Task {
    fn named(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.text)
    }
}

/// The text of a workflow whose one node is `task`, for which the agent leaves a `report.md`.
#[must_use]
pub fn task_text(task: &Task, inputs: &[String]) -> String {
    prompt::one_agent(&task.agent, task.named(), &task.text, inputs, true, task.retries)
}

/// The text of a workflow of one exchange: the agent's answer is its result, and no file is asked for.
#[must_use]
pub fn exchange_text(task: &Task) -> String {
    prompt::one_agent(&task.agent, task.named(), &task.text, &[], false, task.retries)
}
