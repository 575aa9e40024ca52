//! What is tried. A script runs in the attacker's container; a judge looks at the target from outside.

mod agents;
pub mod exhaustion;
mod files;
mod gate;
mod header;
mod identity;
mod kernel;
mod network;
mod processes;
mod reader;
mod time;

use crate::scene::Scene;

pub struct Mechanism {
    pub name: &'static str,
    /// Python, after `prelude.py`.
    pub script: &'static str,
    /// Whether its effect is at the target.
    pub judge: fn(&Scene<'_>) -> bool,
    /// Whether the product has it on record, where that is to be.
    pub trace: Option<fn(&Scene<'_>) -> bool>,
    /// The output that the host's reader comes for: of ours, it is the product's.
    pub reads: Option<&'static str>,
    /// It is about the time that the product gives: of ours, a run of its own is made.
    pub lasts: bool,
    /// It is about what the shim looks at: of ours, a run of its own is made, in which nobody else looks.
    pub fills: bool,
    /// What has to be there before it begins.
    pub prepare: Option<fn(&Scene<'_>)>,
    /// The neighbour is another afterwards.
    pub spends: bool,
    /// It fills what it has, which the neighbour is not to share.
    pub floods: bool,
}

pub const fn attack(name: &'static str, script: &'static str, judge: fn(&Scene<'_>) -> bool) -> Mechanism {
    Mechanism {
        name,
        script,
        judge,
        trace: None,
        reads: None,
        lasts: false,
        fills: false,
        prepare: None,
        spends: false,
        floods: false,
    }
}

impl Mechanism {
    pub const fn spends(mut self) -> Self {
        self.spends = true;
        self
    }

    pub const fn floods(mut self) -> Self {
        self.floods = true;
        self
    }

    pub const fn read_from(mut self, output: &'static str) -> Self {
        self.reads = Some(output);
        self
    }

    pub const fn lasts(mut self) -> Self {
        self.lasts = true;
        self
    }

    pub const fn fills(mut self) -> Self {
        self.fills = true;
        self
    }

    pub const fn recorded(mut self, trace: fn(&Scene<'_>) -> bool) -> Self {
        self.trace = Some(trace);
        self
    }

    pub const fn after(mut self, prepare: fn(&Scene<'_>)) -> Self {
        self.prepare = Some(prepare);
        self
    }
}

pub fn all() -> Vec<Mechanism> {
    [
        network::all(),
        files::all(),
        processes::all(),
        kernel::all(),
        exhaustion::all(),
        time::all(),
        gate::all(),
        header::all(),
        identity::all(),
        reader::all(),
        agents::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
