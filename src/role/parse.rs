//! Reading a role file: every problem at once, each at its line and column.

use serde_json::Number;

use super::action::{Action, Family};
use super::budget::DayBudget;
use super::config::{Config, Email, Github, MemoryRules, Slack, Webhook};
use super::delegation::Delegation;
use super::glob::{Glob, GlobError};
use super::verdict::Verdict;
use super::{Resources, Role, Tasks};
use crate::run::capability::Capability;
use crate::run::id::{IdError, RoleName, SkillName};
use crate::run::nearest::nearest;
use crate::workflow::capability::check_capability;
use crate::workflow::check::Check;
use crate::workflow::fields::{self, Fields};
use crate::workflow::frontmatter;
use crate::workflow::problem::{Problem, Problems, Spot};
use crate::workflow::text::{is_unsafe, shown};
use crate::workflow::tree::{self, Value, Yaml};

/// The largest role file, in bytes.
pub const FILE_LIMIT: u64 = 128 * 1024;
/// The largest prompt, in bytes: it stands before every conversation.
pub const PROMPT_LIMIT: usize = 64 * 1024;
/// The most entries of any list.
const MOST: usize = 200;

impl Role {
    /// Parses the text of `<name>.role.md`; `file_label` is what messages call it.
    ///
    /// # Errors
    /// Every problem of the file at once; only a file whose YAML cannot be read at all has just one.
    pub fn parse(name: &RoleName, file_label: &str, text: &str) -> Result<Self, Problems> {
        let text = frontmatter::normalised(text);
        let (role, mut problems) = parse(name, &text);
        match role {
            Some(role) if problems.is_empty() => Ok(role),
            _ => {
                if problems.is_empty() {
                    problems.push(Problem::new(Spot { line: 1, column: 1 }, "the role is incomplete", None));
                }
                Err(Problems::new(file_label, problems, &text))
            }
        }
    }
}

fn parse(name: &RoleName, text: &str) -> (Option<Role>, Vec<Problem>) {
    let start = Spot { line: 1, column: 1 };
    if text.len() as u64 > FILE_LIMIT {
        let message = format!("the role has {} bytes, and {FILE_LIMIT} are the most", text.len());
        return (None, vec![Problem::new(start, message, None)]);
    }
    let cut = match frontmatter::split(text) {
        Ok(cut) => cut,
        Err(problem) => return (None, vec![problem]),
    };
    let root = match tree::parse(cut.yaml, cut.lines_before) {
        Ok(root) => root,
        Err(problem) => return (None, vec![problem]),
    };
    let mut check = Check::default();
    let line = text.lines().count() - cut.body.lines().count() + 1;
    let prompt = prompt(&mut check, cut.body, Spot { line, column: 1 });
    let role = role(&mut check, &root, name, prompt);
    (role, check.into_problems())
}

fn prompt(check: &mut Check, body: &str, spot: Spot) -> Option<String> {
    let prompt = body.trim();
    if prompt.is_empty() {
        check.problem_with(spot, "the role has no prompt", "below the second `---`, say what the agent is and does");
        return None;
    }
    if prompt.len() > PROMPT_LIMIT {
        check.problem(spot, format!("the prompt has {} bytes, and {PROMPT_LIMIT} are the most", prompt.len()));
        return None;
    }
    if let Some(c) = prompt.chars().find(|c| is_unsafe(*c) && !matches!(c, '\n' | '\t')) {
        check.problem(spot, format!("the prompt holds U+{:04X}, a control or direction character", u32::from(c)));
        return None;
    }
    Some(prompt.to_owned())
}

fn role(check: &mut Check, root: &Yaml, name: &RoleName, prompt: Option<String>) -> Option<Role> {
    const KEYS: [&str; 10] = [
        "role",
        "displayName",
        "description",
        "skills",
        "allowedActions",
        "capabilities",
        "resources",
        "model",
        "tasks",
        "config",
    ];
    if root.value == Value::Null {
        check.problem_with(root.spot, "the frontmatter is empty", "it needs `role`, `displayName` and `description`");
        return None;
    }
    let fields = Fields::read(check, root, "the role", &KEYS)?;
    let own = fields.required(check, "role").and_then(|yaml| {
        let text = check.text(yaml, "`role`")?;
        if text == name.as_str() {
            return Some(name.clone());
        }
        let hint = format!("a role is called as its file is: `{name}.role.md`");
        check.problem_with(yaml.spot, format!("`role` is {}, and the file is that of `{name}`", shown(text)), hint);
        None
    });
    let display_name = fields.required(check, "displayName").and_then(|yaml| check.line(yaml, "`displayName`"));
    let description = fields.required(check, "description").and_then(|yaml| check.line(yaml, "`description`"));
    let allowed = fields.optional(check, "allowedActions", actions).unwrap_or_default();
    let role = Role {
        name: own?,
        display_name: display_name?,
        description: description?,
        skills: fields.optional(check, "skills", skills).unwrap_or_default(),
        capabilities: fields.optional(check, "capabilities", capabilities).unwrap_or_default(),
        resources: fields.optional(check, "resources", resources).unwrap_or_default(),
        model: fields.optional(check, "model", Check::name),
        tasks: fields.optional(check, "tasks", tasks).unwrap_or_default(),
        config: fields
            .optional(check, "config", |check, yaml, what| config(check, yaml, what, &allowed))
            .unwrap_or_default(),
        allowed_actions: allowed,
        prompt: prompt?,
    };
    Some(role)
}

/// Items of a list, each once, as `read` takes them.
fn each<T: PartialEq>(
    check: &mut Check,
    yaml: &Yaml,
    what: &str,
    mut read: impl FnMut(&mut Check, &Yaml, &str) -> Option<T>,
) -> Option<Vec<T>> {
    let items = check.list(yaml, what)?;
    if let Some(surplus) = items.get(MOST) {
        check.problem(surplus.spot, format!("{what} has more than {MOST} entries"));
    }
    let mut found = Vec::new();
    for item in items.iter().take(MOST) {
        let Some(text) = check.text(item, &format!("an entry of {what}")) else { continue };
        let Some(value) = read(check, item, text) else { continue };
        if found.contains(&value) {
            check.problem(item.spot, format!("{} stands twice in {what}", shown(text)));
        } else {
            found.push(value);
        }
    }
    Some(found)
}

fn skills(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<SkillName>> {
    each(check, yaml, what, |check, item, text| named(check, item, SkillName::parse(text)))
}

fn named<T>(check: &mut Check, item: &Yaml, parsed: Result<T, IdError>) -> Option<T> {
    parsed.map_err(|why| check.problem(item.spot, why.to_string())).ok()
}

fn actions(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<Action>> {
    each(check, yaml, what, action)
}

fn action(check: &mut Check, item: &Yaml, text: &str) -> Option<Action> {
    let action = Action::named(text);
    if action.is_none() {
        let names = Action::ALL.map(Action::as_str);
        let hint = match nearest(text, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("actions: {}", names.join(", ")),
        };
        check.problem_with(item.spot, format!("there is no action {}", shown(text)), hint);
    }
    action
}

fn capabilities(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<Capability>> {
    each(check, yaml, what, |check, item, text| match (check_capability(text), Capability::parse(text)) {
        (Ok(()), Ok(capability)) => Some(capability),
        (why, _) => {
            let why = why.err().unwrap_or_default();
            check.problem(item.spot, format!("capability {} {why}", shown(text)));
            None
        }
    })
}

fn resources(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Resources> {
    /// The least that the Docker Engine accepts.
    const MEMORY: u64 = 6 * 1024 * 1024;
    let fields = Fields::read(check, yaml, what, &["cpus", "memory", "pids", "disk"])?;
    let memory = fields.optional(check, "memory", Check::size);
    if let (Some(..MEMORY), Some(yaml)) = (memory, fields.get("memory")) {
        check.problem(yaml.spot, format!("{} must be at least 6MiB", fields.name("memory")));
    }
    Some(Resources {
        cpus: fields.optional(check, "cpus", |check, yaml, what| check.number(yaml, what, 0.01..=1024.0)),
        memory,
        pids: fields.optional(check, "pids", |check, yaml, what| count(check, yaml, what, 4_194_304)),
        disk: fields.optional(check, "disk", Check::size),
    })
}

fn count(check: &mut Check, yaml: &Yaml, what: &str, most: u32) -> Option<u32> {
    check.integer(yaml, what, 1..=u64::from(most)).and_then(|number| u32::try_from(number).ok())
}

fn tasks(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Tasks> {
    let fields = Fields::read(check, yaml, what, &["maxConcurrent", "timeout"])?;
    Some(Tasks {
        max_concurrent: fields
            .optional(check, "maxConcurrent", |check, yaml, what| count(check, yaml, what, 100))
            .unwrap_or(1),
        timeout: fields.optional(check, "timeout", Check::duration),
    })
}

fn config(check: &mut Check, yaml: &Yaml, what: &str, allowed: &[Action]) -> Option<Config> {
    const KEYS: [&str; 8] = ["github", "slack", "email", "webhook", "limits", "memory", "budget", "delegation"];
    let fields = Fields::read(check, yaml, what, &KEYS)?;
    for family in [Family::Github, Family::Slack, Family::Email, Family::Webhook] {
        let used = allowed.iter().any(|action| action.family() == family);
        useful(check, &fields, family.as_str(), used, "action");
    }
    useful(check, &fields, "memory", allowed.contains(&Action::MemoryGet), "`memory.get`");
    let globs = |read: fn(&str) -> Result<Glob, GlobError>| {
        move |check: &mut Check, yaml: &Yaml, what: &str| {
            each(check, yaml, what, |check, item, text| check.accept(item.spot, what, text, read(text)))
        }
    };
    let list = |check: &mut Check, section: &str, key: &'static str, read: fn(&str) -> Result<Glob, GlobError>| {
        let inner = fields.optional(check, section, |check, yaml, what| Fields::read(check, yaml, what, &[key]));
        inner.and_then(|inner| inner.optional(check, key, globs(read))).unwrap_or_default()
    };
    let slack = Slack { channels: list(check, "slack", "channels", Glob::channel) };
    let email = Email { recipients: list(check, "email", "recipients", Glob::recipient) };
    let webhook = Webhook { urls: list(check, "webhook", "urls", Glob::url) };
    let github = fields
        .optional(check, "github", |check, yaml, what| {
            let fields = Fields::read(check, yaml, what, &["repositories", "verdicts"])?;
            useful(check, &fields, "verdicts", allowed.contains(&Action::GithubReviewSubmit), "`github.review.submit`");
            Some(Github {
                repositories: fields.optional(check, "repositories", globs(Glob::repository)).unwrap_or_default(),
                verdicts: fields.optional(check, "verdicts", verdicts).unwrap_or_default(),
            })
        })
        .unwrap_or_default();
    Some(Config {
        github,
        slack,
        email,
        webhook,
        limits: fields
            .optional(check, "limits", |check, yaml, what| limits(check, yaml, what, allowed))
            .unwrap_or_default(),
        memory: fields.optional(check, "memory", memory).unwrap_or_default(),
        budget: fields.optional(check, "budget", budget).unwrap_or_default(),
        delegation: fields.optional(check, "delegation", delegation).unwrap_or_default(),
    })
}

/// Reports a rule for something that the role does not allow: nothing would ever look at it.
fn useful(check: &mut Check, fields: &Fields<'_>, key: &str, used: bool, needs: &str) {
    if let Some(entry) = fields.entry(key).filter(|_| !used) {
        let needs = if needs == "action" { format!("no {key} action") } else { format!("no {needs}") };
        let message = format!("{} has no effect: the role allows {needs}", fields.name(key));
        check.problem_with(entry.spot, message, "add the action to `allowedActions`, or drop the rule");
    }
}

fn verdicts(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Vec<Verdict>> {
    let words = Verdict::ALL.map(|verdict| (verdict.as_str(), verdict));
    each(check, yaml, what, |check, item, _| check.word(item, &format!("an entry of {what}"), &words))
}

fn limits(
    check: &mut Check,
    yaml: &Yaml,
    what: &str,
    allowed: &[Action],
) -> Option<std::collections::BTreeMap<Action, super::Rate>> {
    let mut limits = std::collections::BTreeMap::new();
    for entry in fields::free(check, yaml, what) {
        let key = Yaml { value: Value::Text(entry.key.clone()), spot: entry.spot };
        let action = action(check, &key, &entry.key);
        let name = format!("the limit of {}", shown(&entry.key));
        let rate = check
            .text(&entry.value, &name)
            .and_then(|text| check.accept(entry.value.spot, &name, text, text.parse::<super::Rate>()));
        if let (Some(action), Some(rate)) = (action, rate) {
            if !allowed.contains(&action) {
                let message = format!("{name} has no effect: the role does not allow the action");
                check.problem(entry.spot, message);
            }
            limits.insert(action, rate);
        }
    }
    Some(limits)
}

fn memory(check: &mut Check, yaml: &Yaml, what: &str) -> Option<MemoryRules> {
    let fields = Fields::read(check, yaml, what, &["prompt"])?;
    let prompt = fields.optional(check, "prompt", Check::size);
    if let (Some(size), Some(yaml)) = (prompt, fields.get("prompt"))
        && size > MemoryRules::MOST
    {
        check.problem(yaml.spot, format!("{} must be at most {} bytes", fields.name("prompt"), MemoryRules::MOST));
    }
    Some(prompt.map_or_else(MemoryRules::default, |prompt| MemoryRules { prompt }))
}

fn budget(check: &mut Check, yaml: &Yaml, what: &str) -> Option<DayBudget> {
    const MOST: u64 = 1_000_000_000_000;
    let fields = Fields::read(check, yaml, what, &["requests", "tokens", "money"])?;
    let whole = |check: &mut Check, yaml: &Yaml, what: &str| check.integer(yaml, what, 1..=MOST);
    Some(DayBudget {
        requests: fields.optional(check, "requests", whole),
        tokens: fields.optional(check, "tokens", whole),
        money: fields.optional(check, "money", |check, yaml, what| {
            check.number(yaml, what, 0.000_001..=1_000_000_000.0).filter(|money| Number::from_f64(*money).is_some())
        }),
    })
}

fn delegation(check: &mut Check, yaml: &Yaml, what: &str) -> Option<Delegation> {
    let fields = Fields::read(check, yaml, what, &["roles", "depth", "children"])?;
    let roles = fields.required(check, "roles").and_then(|yaml| {
        each(check, yaml, &fields.name("roles"), |check, item, text| named(check, item, RoleName::parse(text)))
    });
    Some(Delegation {
        roles: roles?,
        depth: fields
            .optional(check, "depth", |check, yaml, what| count(check, yaml, what, Delegation::DEEPEST))
            .unwrap_or(1),
        children: fields
            .optional(check, "children", |check, yaml, what| count(check, yaml, what, Delegation::MOST))
            .unwrap_or(5),
    })
}
