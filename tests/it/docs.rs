//! What the documents name is there.

use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows of all tables, cell by cell, without their heads.
fn rows(markdown: &str) -> Vec<Vec<&str>> {
    let lines = markdown.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Pitfall |"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_pitfall_has_a_test_that_exists_or_says_that_it_is_not_handled() {
    let pitfalls = text("docs/pitfalls.md");
    let rows = rows(&pitfalls);
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let [pitfall, _, handled, tests] = row[..] else { panic!("not four cells: {row:?}") };
        assert!(!tests.is_empty() || handled.starts_with("Not handled"), "no test: {pitfall}");
        for test in quoted(tests) {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("not FILE::NAME: {test}"));
            let source = text(file);
            let (before, _) = source.split_once(&format!("fn {name}()")).unwrap_or_else(|| panic!("no test {test}"));
            let attribute = before.trim_end_matches("async ").trim_end().lines().last().unwrap_or_default();
            assert!(attribute.contains("test"), "{test} is not a test: {attribute}");
        }
    }
}

#[test]
fn every_action_and_set_that_a_pitfall_names_is_in_the_table() {
    let catalog = quell::actions::table().catalog();
    let services: std::collections::BTreeSet<&str> =
        catalog.actions.keys().chain(catalog.sources.keys()).filter_map(|name| name.split('.').next()).collect();
    let pitfalls = text("docs/pitfalls.md");
    let mut named = 0;
    for name in quoted(&pitfalls).filter(|name| !name.contains(['/', ' '])) {
        let Some((service, _)) = name.split_once('.').filter(|(service, _)| services.contains(service)) else {
            continue;
        };
        assert!(catalog.actions.contains_key(name) || catalog.sources.contains_key(name), "no `{name}` ({service})");
        named += 1;
    }
    assert!(named > 20, "{named}");
}

#[test]
fn the_readme_leads_to_the_pitfalls() {
    assert!(text("README.md").contains("(docs/pitfalls.md)"));
}

#[test]
fn the_page_on_faults_has_every_kind_and_an_example_that_is_read() {
    let page = text("docs/faults.md");
    let (_, example) = page.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(quell::sim::faults::FaultPlan::load(example, "docs/faults.md").unwrap().rules.len(), 7);
    for kind in quell::sim::faults::FaultKind::ALL {
        assert!(page.contains(&format!("| `{kind}`")) || page.contains(&format!(", `{kind}` |")), "{kind}");
    }
}

#[test]
fn the_steps_on_the_page_on_evidence_are_a_runbook() {
    let page = text("docs/evidence.md");
    let (_, steps) = page.split_once("```yaml\n").unwrap();
    let (steps, _) = steps.split_once("```").unwrap();
    let text = format!(
        "quell: 1\nname: forensics\ntitle: Forensics\ntargets: {{ accounts: [self], role: ir/IRResponder }}\nbreak_glass: [role/BreakGlass]\n\
         sets: {{ rogue: {{ from: ec2.instances }} }}\n{steps}until: {{ clean_sweeps: 1, every: 20s, newcomers: report }}\n"
    );
    let (runbook, warnings) = quell::runbook::load("forensics", &text, &quell::actions::table().catalog()).unwrap();
    assert_eq!(warnings.len(), 0, "{warnings:?}");
    assert_eq!(runbook.steps.len(), 8);
}
