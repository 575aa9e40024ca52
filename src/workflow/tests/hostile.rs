//! Files that were made to hurt.

use super::*;

#[test]
fn a_bomb_is_refused_at_once() {
    let mut text = "---\nworkflowId: w\ntitle: W\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (this, last) in ('b'..='j').zip('a'..='i') {
        text += &format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n");
    }
    let started = Instant::now();
    let problems = Workflow::parse("bomb.task.md", &(text + "nodes: []\n---\n")).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    insta::assert_snapshot!(problems, @"");
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "a:\n ".repeat(1)] {
        assert_eq!(messages(&format!("---\nworkflowId: w\nx: {text}\n---\n")).len(), 1);
    }
    let metadata = format!("kind: wait\nmetadata: {{a: {}{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(messages(&node(&metadata)), [""]);
}

#[test]
fn a_huge_file_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.task.md");
    std::fs::File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let started = Instant::now();
    let error = Workflow::read(&path).unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 104_857_600, limit: FILE_LIMIT, .. }), "{error}");
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.task.md");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(read_text(&path), Err(Error::NotAFile { .. })));
    assert!(matches!(read_text(folder.path()), Err(Error::NotAFile { .. })));
    assert!(matches!(read_text(&folder.path().join("absent")), Err(Error::NotFound { .. })));
    std::fs::write(&path.with_extension("x"), b"---\na: \xff\n").unwrap();
    assert!(matches!(read_text(&path.with_extension("x")), Err(Error::NotUtf8 { line: 2, .. })));
}

#[test]
fn ten_thousand_nodes_are_refused_and_a_thousand_are_quick() {
    let file = |count: usize| {
        let mut text = "---\nworkflowId: w\ntitle: W\nnodes:\n".to_owned();
        for index in 0..count {
            let needs = if index == 0 { String::new() } else { format!("n{}", index - 1) };
            text += &format!("  - {{id: n{index}, title: T, kind: approval, needs: [{needs}]}}\n");
        }
        text + "---\n"
    };
    let started = Instant::now();
    assert_eq!(sound(&file(1000)).nodes.len(), 1000);
    let all = messages(&file(10_000));
    assert_eq!(all[0], "1005:5 there are 10000 nodes, and a workflow has at most 1000");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_hundred_thousand_problems_are_counted_not_printed() {
    let keys: String = (0..50_000).map(|index| format!("key{index}: 1\n")).collect();
    let started = Instant::now();
    let problems = Workflow::parse("f", &format!("---\n{keys}---\n")).unwrap_err();
    assert_eq!((problems.count(), problems.iter().len()), (50_003, 200));
    assert!(problems.to_string().len() < 100_000);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_not_yaml_is_located() {
    for (text, wanted) in [
        ("---\na: [1\n---\n", ""),
        ("---\na: *x\n---\n", ""),
        ("---\na: &x [*x]\n---\n", ""),
        ("---\n\ta: 1\n---\n", ""),
        ("---\na: 'x\n---\n", ""),
        ("---\na: 1\n...\nb: 2\n---\n", ""),
        ("---\n? [a]\n: b\n---\n", ""),
        ("---\na: !!binary x\n---\n", ""),
        ("---\na: !x y\n---\n", ""),
        ("---\n---\n", ""),
        ("---\njust text\n---\n", ""),
        ("---\na: \0\n---\n", ""),
    ] {
        assert_eq!(messages(text), [wanted], "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}|[-\n a-c:{}\\[\\]&*!|>'\"#,?%\t\r\u{0}\u{85}\u{2028}]{0,200}") {
        let _ = Workflow::parse("x", &text).map_err(|problems| problems.to_string());
        let _ = Workflow::parse("x", &format!("---\n{text}\n---\n")).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_value_panics(key in "id|title|kind|needs|prompt|outputs|timeoutMs|waitFor|metadata|retry|continueOn|when|timeout|container",
                       value in "[-\n a-z0-9.:{}\\[\\]&*!|>'\"#,?%~]{0,80}") {
        let text = node(&format!("kind: subagent\nprompt: x\n{key}: {value}"));
        let _ = Workflow::parse("x", &text).map_err(|problems| problems.to_string());
    }

    /// Cutting or changing a sound file anywhere leaves a file that is read or refused, never one that panics.
    #[test]
    fn no_damage_panics(at in 0_usize..1000, with in "\\PC|[\n\t:{}\\[\\]'\"&*-]") {
        let mut text: Vec<char> = node("kind: subagent\nprompt: |\n  x\nneeds: [b]\nmetadata: {a: [1, 2]}").chars().collect();
        let at = at % text.len();
        text.splice(at..=at, with.chars());
        let text: String = text.into_iter().collect();
        let _ = Workflow::parse("x", &text).map_err(|problems| problems.to_string());
    }

    /// Every place that is reported exists in the file.
    #[test]
    fn places_are_real(text in "[-\n a-c:{}\\[\\]'\"]{0,100}") {
        let text = format!("---\n{text}\n---\n");
        if let Err(problems) = Workflow::parse("x", &text) {
            for problem in &problems {
                let line = text.split('\n').nth(problem.line - 1);
                prop_assert!(line.is_some_and(|line| problem.column <= line.chars().count() + 1), "{problem:?}");
            }
        }
    }
}
