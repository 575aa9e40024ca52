//! The list of commands. Each is a file; this one only names them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::container::take_part;
use crate::engine;
use crate::failure::Failure;
use crate::registry::Registry;

use super::output::Output;
use super::{
    action, agent, approve, audit, capability, completions, container, control, deny, deployment, doctor, event,
    failure_from, gate, helper, image, inbox, init, keys, kill, llm, memory, node, openclaw, policy, reference, repair,
    review, role, run, schedule, secret, suggest, tick, unlock, watch, workflow,
};

/// Durable, reviewable runs of AI agents in gated containers
#[derive(Debug, Parser)]
#[command(name = "taskforge", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Root {
    /// Print JSON instead of text, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The registry's folder [default: $TASKFORGE_REGISTRY, else the nearest one around the working directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) registry: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    #[command(subcommand)]
    Run(run::Run),
    Tick(tick::Tick),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    #[command(subcommand)]
    Watch(watch::Watch),
    #[command(subcommand)]
    Openclaw(openclaw::Openclaw),
    #[command(subcommand)]
    Control(control::Control),
    #[command(subcommand)]
    Event(event::Event),
    #[command(subcommand)]
    Node(node::Node),
    Inbox(inbox::Inbox),
    Review(review::Review),
    Approve(approve::Approve),
    Deny(deny::Deny),
    Suggest(suggest::Suggest),
    #[command(subcommand)]
    Capability(capability::Capability),
    #[command(subcommand)]
    Deployment(deployment::Deployment),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Role(role::Role),
    #[command(subcommand)]
    Agent(agent::Agent),
    #[command(subcommand)]
    Memory(memory::Memory),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Secret(secret::Secret),
    Kill(kill::Kill),
    Unlock(unlock::Unlock),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Image(image::Image),
    #[command(subcommand)]
    Container(container::Container),
    #[command(subcommand)]
    Llm(llm::Llm),
    #[command(subcommand)]
    Action(action::Action),
    Doctor(doctor::Doctor),
    Repair(repair::Repair),
    Helper(helper::Helper),
    Completions(completions::Completions),
    #[command(hide = true)]
    Reference(reference::Reference),
    /// Run a gate (what the gate's container executes)
    #[command(subcommand, hide = true)]
    Gate(gate::Gate),
}

/// What every command is given.
pub(crate) struct Context<'a> {
    pub(crate) output: &'a Output,
    registry: Option<PathBuf>,
    /// Whether this command goes on with a kill that it finds unfinished. Those that are about the switch, or about what
    /// is wrong, do so themselves or only look.
    finishes_kills: bool,
}

impl Context<'_> {
    /// The registry that the arguments, the environment or the working directory name.
    pub(crate) fn registry(&self) -> Result<Registry, Failure> {
        let here = std::env::current_dir().map_err(|error| failure_from::io("find", ".", &error))?;
        let registry = Registry::resolve(self.registry.as_deref(), &here)?;
        if self.finishes_kills {
            for problem in engine::finish_in_passing(&registry) {
                self.output.warn(&format!("warning: the kill switch is on, and its work is not done: {problem}"));
            }
        }
        Ok(registry)
    }

    pub(crate) fn registry_flag(&self) -> Option<&std::path::Path> {
        self.registry.as_deref()
    }
}

impl Root {
    pub(crate) fn run(self, output: &Output) -> Result<ExitCode, Failure> {
        // What makes the base image has its own way to be root, and who keeps a user's timetable has to be that user.
        if !matches!(self.command, Command::Schedule(_) | Command::Image(image::Image::Base(_))) {
            take_part();
        }
        let looks = matches!(
            self.command,
            Command::Kill(_) | Command::Unlock(_) | Command::Tick(_) | Command::Doctor(_) | Command::Completions(_)
        );
        let context = Context { output, registry: self.registry, finishes_kills: !looks };
        match self.command {
            Command::Init(command) => command.run(&context),
            Command::Workflow(command) => command.run(&context),
            Command::Run(command) => command.run(&context),
            Command::Tick(command) => command.run(&context),
            Command::Schedule(command) => command.run(&context),
            Command::Watch(command) => command.run(&context),
            Command::Openclaw(command) => command.run(&context),
            Command::Control(command) => command.run(&context),
            Command::Event(command) => command.run(&context),
            Command::Node(command) => command.run(&context),
            Command::Inbox(command) => command.run(&context),
            Command::Review(command) => command.run(&context),
            Command::Approve(command) => command.run(&context),
            Command::Deny(command) => command.run(&context),
            Command::Suggest(command) => command.run(&context),
            Command::Capability(command) => command.run(&context),
            Command::Deployment(command) => command.run(&context),
            Command::Policy(command) => command.run(&context),
            Command::Keys(command) => command.run(&context),
            Command::Secret(command) => command.run(&context),
            Command::Kill(command) => command.run(&context),
            Command::Unlock(command) => command.run(&context),
            Command::Audit(command) => command.run(&context),
            Command::Image(command) => command.run(&context),
            Command::Container(command) => command.run(&context),
            Command::Llm(command) => command.run(&context),
            Command::Action(command) => command.run(&context),
            Command::Doctor(command) => command.run(&context),
            Command::Repair(command) => command.run(&context),
            Command::Helper(command) => Ok(command.run(context.registry.as_deref())),
            Command::Completions(command) => command.run(&context),
            Command::Reference(command) => command.run(&context),
            Command::Gate(command) => command.run(),
            Command::Role(command) => command.run(&context),
            Command::Agent(command) => command.run(&context),
            Command::Memory(command) => command.run(&context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Root;

    /// Every positional and option has a name of its own beside the global ones: clap finds out only when one is read.
    #[test]
    fn no_argument_hides_a_global_one() {
        fn look(command: &clap::Command, path: &str) {
            let globals = ["json", "registry"];
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                assert!(!globals.contains(&argument.get_id().as_str()), "{path} {}", argument.get_id());
            }
            for inner in command.get_subcommands() {
                look(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        look(&Root::command(), "taskforge");
        Root::command().debug_assert();
    }
}
