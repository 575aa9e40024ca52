//! `taskforge image …`.

mod base;
mod build;
mod diff;
mod find;
mod gc;
mod list;
mod openclaw;
mod refresh;
mod sbom;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

use super::root::Context;

/// Base images, and images built from what was approved
#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    Base(base::Base),
    Openclaw(openclaw::Openclaw),
    List(list::List),
    Show(show::Show),
    Diff(diff::Diff),
    Find(find::Find),
    Sbom(sbom::Sbom),
    Gc(gc::Gc),
    Refresh(refresh::Refresh),
    #[command(hide = true)]
    Build(build::Build),
}

impl Image {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Base(base) => base.run(context),
            Self::Openclaw(openclaw) => openclaw.run(context),
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
            Self::Diff(diff) => diff.run(context),
            Self::Find(find) => find.run(context),
            Self::Sbom(sbom) => sbom.run(context),
            Self::Gc(gc) => gc.run(context),
            Self::Refresh(refresh) => refresh.run(context),
            Self::Build(build) => build.run(context),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    let mut unit = 0;
    let mut scale: u64 = 1;
    while bytes / scale >= 1000 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
    }
    // One digit behind the point for what is small.
    match (bytes / scale, bytes % scale * 10 / scale.max(1)) {
        (whole, tenth) if unit > 0 && whole < 10 => format!("{whole}.{tenth} {}", UNITS[unit]),
        (whole, _) => format!("{whole} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KB"),
            (12_345, "12 KB"),
            (1_950_000, "1.9 MB"),
            (7_000_000_000_000, "7000 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
