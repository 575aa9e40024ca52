//! A prompt becomes a file that says exactly it.

use super::*;

fn round_trip(prompt: &str) {
    let text = prompt::one_node(prompt, &["sales \"x\".csv".to_owned()], Some("qwen2.5-coder:7b"));
    let workflow = sound(&text);
    let rendered = workflow.render(&BTreeMap::new()).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    assert_eq!(rendered.prompts.values().next().map(String::as_str), Some(prompt), "{text}");
    assert!(u64::try_from(text.len()).unwrap() < FILE_LIMIT);
}

#[test]
fn a_person_can_read_it() {
    let text = prompt::one_node("Analyse sales.csv.\n\nBe brief.", &["sales.csv".to_owned()], None);
    insta::assert_snapshot!(text, @r#"
    ---
    workflowId: prompt
    title: "Analyse sales.csv. Be brief."
    nodes:
      - id: task
        title: Task
        kind: session_turn
        prompt: |-
          Analyse sales.csv.

          Be brief.
        outputs:
          mode: report
          requiredFiles: [nodes/task/report.md]
        container:
          runtime: builtin
        metadata:
          inputs:
            - "sales.csv"
    ---

    Made from a prompt.
    "#);
    let node = &sound(&text).nodes[0];
    assert_eq!(node.outputs.artifact_paths[0].as_str(), "nodes/task/report.md");
    assert_eq!(node.metadata["inputs"][0], "sales.csv");
}

#[test]
fn awkward_prompts_round_trip() {
    for prompt in [
        "x",
        "---",
        "---\n---\n",
        "a\n---\nb",
        "{{ params.x }}",
        "{{{{ params.x }} {% raw %} {# #}",
        "{{ x }}",
        "{\0{{params}}\0{",
        "\u{feff}a\u{85}b\u{2028}c\u{0}\u{1b}\u{7f}\u{202e}",
        "a\r\nb\rc",
        " leading\n  more",
        "trailing  \n",
        "ends\n\n\n",
        "\n\nstarts",
        "\ttab\n\tx",
        "- list\n# comment\n? x\n: y\n",
        "a: b\nc: |\n  d",
        "'\"\\`$(x)",
        "\u{fffe}\u{ffff}\u{10ffff}😀 ü 日本",
        "%YAML 1.2\n--- x\n... \n...",
        "a\n\n\nb\n   \nc",
    ] {
        round_trip(prompt);
    }
}

#[test]
fn a_blank_prompt_is_refused_when_parsed() {
    assert_eq!(messages(&prompt::one_node(" \n", &[], None)), ["8:13 `prompt` of node `task` is empty"]);
}

proptest! {
    #[test]
    fn any_prompt_round_trips(prompt in any::<String>()) {
        prop_assume!(!prompt.trim().is_empty());
        round_trip(&prompt);
    }

    #[test]
    fn any_yaml_like_prompt_round_trips(prompt in "[-\n a-c:{}\\[\\]&*!|>'\"#,?%\t\r\0\\\\\u{85}\u{2028}]{1,80}|(\\{\\{ ?params\\.x ?\\}\\}|[{}\0 \na]){1,20}") {
        prop_assume!(!prompt.trim().is_empty());
        round_trip(&prompt);
    }

    #[test]
    fn any_names_of_inputs_and_models_are_contained(input in any::<String>(), model in any::<String>()) {
        let text = prompt::one_node("x", std::slice::from_ref(&input), Some(&model));
        match Workflow::parse("x", &text) {
            Ok(workflow) => prop_assert_eq!(workflow.nodes[0].metadata["inputs"][0].as_str(), Some(input.as_str())),
            // An odd model is the only thing that can be wrong with it.
            Err(problems) => prop_assert!(problems.iter().all(|p| p.message.starts_with("`model` of `container`")), "{}", problems),
        }
    }
}
