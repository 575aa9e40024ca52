//! What proves that this is what happened.

use crate::report::markup::Html;
use crate::report::model::Report;
use crate::report::words::{count, cut, size};

use super::{LINE, digest, left_out, part as section};

/// The most oddities that are listed.
const MOST: usize = 20;

pub(super) fn part(html: &mut Html, report: &Report<'_>) {
    let (state, proof) = (report.state(), report.source.proof);
    section(html, "proof", "Proof", |html| {
        if proof.head.at == 0 {
            left_out(html, "No line of the journal is one of ours, so that nothing proves it.");
        } else {
            html.tag("p", &[], |html| {
                html.text("The journal is a chain of digests. ");
                html.leaf("code", &[("class", &"command")], format!("taskforge audit verify {}", state.run));
                html.text(" checks every byte of it, and every file it names, against this head:");
            });
        }
        html.tag("dl", &[("class", &"proof")], |html| {
            let mut fact = |name: &str, value: &dyn Fn(&mut Html)| {
                html.tag("div", &[], |html| {
                    html.leaf("dt", &[], name);
                    html.tag("dd", &[], value);
                });
            };
            fact("Journal's head", &|html| digest(html, &proof.head.digest));
            fact("Covers", &|html| {
                html.text(format!(
                    "{}, {} lines, {} of other programs",
                    size(proof.head.at),
                    count(proof.lines),
                    count(proof.foreign)
                ));
            });
            if let Ok(traffic) = report.source.traffic
                && traffic.bytes > 0
            {
                fact("Gate's records", &|html| digest(html, &traffic.head));
                fact("Cover", &|html| {
                    html.text(format!("{}, {} records", size(traffic.bytes), count(traffic.records.len() as u64)));
                });
            }
            fact("Workflow", &|html| digest(html, &state.created.workflow_digest));
            if let Some(binary) = &state.created.binary {
                fact("Program in the containers", &|html| digest(html, binary));
            }
            if !state.created.registry.is_empty() {
                fact("Registry", &|html| html.leaf("code", &[], cut(&state.created.registry, 200)));
            }
        });
        if !proof.findings.is_empty() {
            html.tag("ul", &[("class", &"call s-failed")], |html| {
                for finding in proof.findings.iter().take(MOST) {
                    html.leaf("li", &[], cut(finding, LINE));
                }
            });
        }
        if proof.findings.len() > MOST {
            left_out(html, &format!("{} more are left out.", count((proof.findings.len() - MOST) as u64)));
        }
    });
}
