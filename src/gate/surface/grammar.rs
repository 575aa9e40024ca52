//! Which capabilities can be asked for here, in their canonical form.

use crate::run::capability::{Capability, askable};
use crate::run::deployment::Proposal;
use crate::run::timetable::Timetable;

/// The canonical form of `text`.
///
/// # Errors
/// The rule that `text` breaks.
pub(super) fn check_capability(text: &str) -> Result<String, String> {
    askable(text).map(|capability| capability.to_string())
}

/// Checks what is to be deployed, by what was asked for in its canonical form.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn check_deployment(capability: &str, deploy: Option<&Proposal>) -> Result<(), String> {
    let port = match Capability::parse(capability) {
        Ok(Capability::Port(port)) => Some(port),
        _ => None,
    };
    Proposal::check(deploy, port).map_err(|e| e.to_string())
}

/// Checks when what is to be done, by what was asked for in its canonical form.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn check_timetable(capability: &str, timetable: Option<&Timetable>) -> Result<(), String> {
    let is_schedule = matches!(Capability::parse(capability), Ok(Capability::Schedule(_)));
    Timetable::check(timetable, is_schedule).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_has_a_port_and_a_command() {
        let deploy = Proposal { command: vec!["serve".to_owned()], folder: ".".to_owned() };
        assert_eq!(check_capability("port:8000").as_deref(), Ok("port:8000"));
        assert_eq!(check_deployment("port:8000", Some(&deploy)), Ok(()));
        assert!(check_deployment("port:8000", None).is_err());
        assert!(check_deployment("pip:six", Some(&deploy)).is_err());
        assert_eq!(check_deployment("pip:six", None), Ok(()));
        for text in
            ["port:", "port:0", "port:70000", "port:08", "port:+80", "port:80-90", "port:8000/tcp", "port:127.0.0.1:80"]
        {
            assert!(check_capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_has_a_name_a_time_and_a_task() {
        let table = Timetable { when: "0 7 * * 1".to_owned(), task: "Write the report.".to_owned() };
        assert_eq!(check_capability("schedule:weekly-report").as_deref(), Ok("schedule:weekly-report"));
        assert_eq!(check_timetable("schedule:weekly", Some(&table)), Ok(()));
        assert!(check_timetable("schedule:weekly", None).is_err());
        assert!(check_timetable("port:8000", Some(&table)).is_err());
        assert_eq!(check_timetable("port:8000", None), Ok(()));
        let long = format!("schedule:{}", "x".repeat(31));
        for text in ["schedule:", "schedule:A", "schedule:a.b", "schedule:-a", "schedule:../a", "schedule:a/b", &long] {
            assert!(check_capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_can_be_granted_in_canonical_form_and_nothing_else() {
        assert_eq!(check_capability("pip:Scikit_Learn").as_deref(), Ok("pip:scikit-learn"));
        assert_eq!(check_capability("npm:@types/node@20.1.0").as_deref(), Ok("npm:@types/node@20.1.0"));
        assert_eq!(check_capability("apt:graphviz").as_deref(), Ok("apt:graphviz"));
        assert_eq!(check_capability("net:example.com:443").as_deref(), Ok("net:example.com:443"));
        assert_eq!(check_capability("tcp:[0:0::1]:5432").as_deref(), Ok("tcp:[::1]:5432"));
        assert_eq!(check_capability("budget:money=0.5").as_deref(), Ok("budget:money=0.5"));
        assert_eq!(check_capability("mount:/data/sets:ro").as_deref(), Ok("mount:/data/sets:ro"));
        assert_eq!(check_capability("tool:browser").as_deref(), Ok("tool:browser"));
        assert_eq!(check_capability("llm:gemini-*").as_deref(), Ok("llm:gemini-*"));
        assert_eq!(check_capability("secret:x@example.com:443").as_deref(), Ok("secret:x@example.com"));
        let action = "action:github.review.submit,repo=a/b,verdict=COMMENT";
        assert_eq!(check_capability(action).as_deref(), Ok(action));
        for text in [
            "",
            "pip",
            "pip:a;b",
            "npm:a@latest",
            "npm:../a",
            "apt:../x",
            "net:example.com",
            "net:*.example.com:443",
            "action:github.pr.merge,repo=a/b",
            "action:github.pr.comment",
            "secret:x@example.com,header=host",
            "mount:/data/../etc:ro",
        ] {
            assert!(check_capability(text).is_err(), "{text}");
        }
    }
}
