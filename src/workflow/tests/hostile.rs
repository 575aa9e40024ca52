//! Files that were made to hurt.

use super::*;

#[test]
fn a_bomb_is_refused() {
    let mut text = "---\nworkflowId: w\ntitle: W\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (this, last) in ('b'..='j').zip('a'..='i') {
        text += &format!("{this}: &{this} [*{last},*{last},*{last},*{last},*{last},*{last},*{last},*{last}]\n");
    }
    let problems = Workflow::parse("bomb.task.md", &(text + "nodes: []\n---\n")).unwrap_err();
    insta::assert_snapshot!(problems, @r#"
    bomb.task.md:8:8: error: the aliases stand for more than 11388 values, which is too many for a file of this size
        8 | e: &e [*d,*d,*d,*d,*d,*d,*d,*d]
          |        ^
    "#);
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert_eq!(messages(&format!("---\nworkflowId: w\nx: {text}\n---\n")).len(), 1);
    }
    let metadata = format!("kind: wait\nmetadata: {{a: {}{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(messages(&node(&metadata)), ["8:50 the YAML is nested deeper than 32 levels"]);
}

#[test]
fn a_huge_file_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.task.md");
    std::fs::File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let error = Workflow::read(&path).unwrap_err();
    // The size that the file system tells; reading would have ended at the limit.
    assert!(matches!(error, Error::TooLarge { size: 104_857_600, limit: FILE_LIMIT, .. }), "{error}");
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.task.md");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(read_text(&path), Err(Error::NotAFile { .. })));
    assert!(matches!(read_text(folder.path()), Err(Error::NotAFile { .. })));
    assert!(matches!(read_text(&folder.path().join("absent")), Err(Error::NotFound { .. })));
    std::fs::write(path.with_extension("x"), b"---\na: \xff\n").unwrap();
    assert!(matches!(read_text(&path.with_extension("x")), Err(Error::NotUtf8 { line: 2, .. })));
}

#[test]
fn ten_thousand_nodes_are_refused_and_a_thousand_are_not() {
    let file = |count: usize| {
        let mut text = "---\nworkflowId: w\ntitle: W\nnodes:\n".to_owned();
        for index in 0..count {
            let needs = if index == 0 { String::new() } else { format!("n{}", index - 1) };
            text += &format!("  - {{id: n{index}, title: T, kind: approval, needs: [{needs}]}}\n");
        }
        text + "---\n"
    };
    assert_eq!(sound(&file(1000)).nodes.len(), 1000);
    let all = messages(&file(10_000));
    assert_eq!(all[0], "1005:5 there are 10000 nodes, and a workflow has at most 1000");
}

#[test]
fn a_hundred_thousand_problems_are_counted_not_printed() {
    let keys: String = (0..50_000).map(|index| format!("key{index}: 1\n")).collect();
    let problems = Workflow::parse("f", &format!("---\n{keys}---\n")).unwrap_err();
    assert_eq!((problems.count(), problems.iter().len()), (50_003, 200));
    assert!(problems.to_string().len() < 100_000);
}

#[test]
fn what_is_not_yaml_is_located() {
    for (text, wanted) in [
        ("---\na: [1\n---\n", "2:4 this is not YAML: unclosed bracket '['"),
        ("---\na: *x\n---\n", "2:4 an alias without an anchor of its name above it"),
        ("---\na: &x [*x]\n---\n", "2:8 an alias stands for something that holds it"),
        ("---\na: 'x\n---\n", "3:1 this is not YAML: invalid indentation in multiline quoted scalar"),
        ("---\na: 1\n...\nb: 2\n---\n", "3:1 the YAML holds more than one document"),
        ("---\n? [a]\n: b\n---\n", "2:3 this is not YAML: expected string scalar"),
        ("---\na: !!binary x\n---\n", "2:13 this is not YAML: invalid !!binary base64"),
        ("---\na: !x y\n---\n", "2:7 a YAML tag that is not known here"),
        ("---\na: \0\n---\n", "2:4 this is not YAML: unexpected character: `\\u{0}'"),
        ("---\n---\n", "2:1 the frontmatter is empty"),
        ("---\njust text\n---\n", "2:1 the workflow must be a map, and is text"),
    ] {
        assert_eq!(messages(text), [wanted], "{text:?}");
    }
}

#[test]
fn a_megabyte_of_anything_ends() {
    const SIZE: usize = 1_000_000;
    for piece in ["[", "> ", "*", "- ", "`", "<", "![", "a|", "\\", "_a", "1. ", "[a](", "<!--", "# \n", "&", "\u{301}"]
    {
        let body = piece.repeat(SIZE / piece.len());
        let text = format!("{}{body}", node("kind: wait"));
        assert!(Workflow::parse("x", &text).is_ok());
    }
    let flow = |piece: &str| format!("---\nx: {{{}}}\n---\n", piece.repeat(SIZE / piece.len()));
    for text in [
        flow("a: 1, "),
        flow("\"k\": [], "),
        flow("? , "),
        format!("---\n{}---\n", "a: 1\n".repeat(SIZE / 5)),
        format!("---\n{}---\n", "#\n".repeat(SIZE / 2)),
        format!("---\nx: \"{}\"\n---\n", "\\u0041".repeat(SIZE / 6)),
        format!("---\n{{{}}}\n---\n", (0..SIZE / 12).map(|i| format!("key{i}: 1, ")).collect::<String>()),
        format!("---\nparams: {{}}\nnodes: [{{prompt: '{}'}}]\n---\n", "{{ params.x }}".repeat(SIZE / 14)),
        format!("---\nnodes:\n{}---\n", "- {}\n".repeat(SIZE / 5)),
        format!(
            "---\nnodes:\n- {{id: a, needs: [{}]}}\n---\n",
            (0..SIZE / 8).map(|i| format!("n{i}, ")).collect::<String>()
        ),
    ] {
        assert!(Workflow::parse("x", &text).map_err(|problems| problems.to_string()).is_err());
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
