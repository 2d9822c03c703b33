//! The report of a drill says what is true in its scenario, the same in all forms, and asks for nothing but itself.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::binary::{changed, code, json, quell};

/// A drill that wrote its report.
struct Drill {
    folder: tempfile::TempDir,
    /// Its closing document.
    ended: Value,
    report: Value,
    html: String,
    markdown: String,
}

impl Drill {
    fn of(scenario: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = drill(folder.path(), scenario, more);
        assert!(matches!(code(&output), 0 | 5), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| std::fs::read_to_string(folder.path().join("drill").join(name)).unwrap();
        Self {
            ended: json(&output),
            report: serde_json::from_str(&read("report.json")).unwrap(),
            html: read("report.html"),
            markdown: read("report.md"),
            folder,
        }
    }

    /// `quell report` on the run of the drill.
    fn again(&self, arguments: &[&str]) -> Output {
        let mut command = quell(self.folder.path());
        command.args(["report", self.report["run"].as_str().unwrap()]).args(arguments).current_dir(self.folder.path());
        command.output().unwrap()
    }
}

fn drill(home: &Path, scenario: &str, more: &[&str]) -> Output {
    let mut command = quell(home);
    command.args(["drill", scenario, "--approve", "reversible,disruptive", "--output", "json", "--report"]);
    command.arg(home.join("drill")).args(more).output().unwrap()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no {pointer}"))
}

/// A text as HTML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[test]
fn the_report_of_a_drill_tells_the_truth_of_its_scenario() {
    let Drill { ended, report, html, markdown, .. } = Drill::of("cryptojack-small", &[]);

    // Who did it, and who did not.
    let verdicts: Vec<(&str, &str)> = items(&report, "/principals")
        .iter()
        .map(|finding| (finding["name"].as_str().unwrap(), finding["verdict"].as_str().unwrap()))
        .collect();
    assert!(verdicts.contains(&("mara.weiss", "credentials-used")), "{verdicts:?}");
    assert!(verdicts.contains(&("jonas.brandt", "framed")), "{verdicts:?}");
    assert!(verdicts.iter().all(|(_, verdict)| *verdict != "acted"), "{verdicts:?}");

    // Every deed of the intruder that left a trace, in its phase; and no deed of the responder's among them.
    let events = items(&report, "/timeline/events");
    let told = |phase: &str, what: &str| {
        events.iter().any(|event| event["phase"] == phase && event["what"].as_str().unwrap().contains(what))
    };
    let leaked = report["overview"]["lines"].to_string();
    assert!(told("entry", "access key AKIA") && leaked.contains("By the leaked access key AKIA"), "{leaked}");
    assert!(told("preparation", "CopyImage"), "{events:#?}");
    assert!(told("persistence", "CreateAccessKey") && told("persistence", "UpdateLoginProfile on jonas.brandt"));
    assert!(told("persistence", "AttachUserPolicy on jonas.brandt"));
    assert!(events.iter().all(|event| event["who"] != "IRResponder"), "{events:#?}");
    assert!(!told("preparation", "snap-"), "evidence is no preparation: {events:#?}");

    // Every machine: on the timeline, stopped, with the state before and after.
    let changes = items(&report, "/containment/steps").iter().flat_map(|step| items(step, "/changes"));
    let stops: Vec<&Value> = changes.filter(|change| change["after"] == "stopped").collect();
    assert_eq!(stops.len(), 10);
    for stop in &stops {
        let id = stop["resource"].as_str().unwrap();
        assert_eq!((stop["before"].as_str(), stop["is_good"].as_bool()), (Some("running"), Some(true)), "{stop}");
        assert!(told("launch", id), "{id} is not on the timeline");
        assert!(html.contains(id) && markdown.contains(id), "{id}");
    }

    // The ledger, the captures, what it cost, what is left, what would have prevented it.
    assert_eq!(report["coverage"]["is_complete"], true);
    assert_eq!(report["coverage"]["counts"], ended["coverage"]);
    assert_eq!(items(&report, "/evidence/captures").len(), 2);
    assert_eq!(items(&report, "/evidence/snapshots").len() as u64, ended["snapshots"].as_u64().unwrap());
    assert_eq!(items(&report, "/cost/machines").len(), 10);
    assert!(report["cost"]["so_far"].as_f64().unwrap() > 1.0 && report["cost"]["burn_now"].as_f64() == Some(0.0));
    assert!(!items(&report, "/remaining/found").is_empty() && !items(&report, "/prevention/failed").is_empty());

    // The same figures in all forms.
    for line in items(&report, "/overview/lines") {
        let answer = line[1].as_str().unwrap();
        assert!(html.contains(&escaped(answer)), "{answer}");
        let plain = markdown.replace('\\', "");
        assert!(plain.contains(answer), "{answer}");
    }
    for figure in items(&report, "/overview/figures") {
        let value = figure[1].as_str().unwrap();
        assert!(html.contains(value) && markdown.contains(value), "{value}");
    }
}

#[test]
fn the_page_asks_for_nothing_but_itself() {
    let Drill { html, .. } = Drill::of("cryptojack-small", &[]);
    for forbidden in
        ["<script", "<link", "<img", "<iframe", "<object", "@import", "url(", " src=", "javascript:", "http://"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for target in html.split("href=\"").skip(1) {
        assert!(target.starts_with('#'), "{}", target.chars().take(60).collect::<String>());
    }
    for attribute in html.split(" on").skip(1) {
        let name: String = attribute.chars().take_while(char::is_ascii_lowercase).collect();
        assert!(!attribute[name.len()..].starts_with("=\""), "on{name}");
    }
    // Every reference within the page leads somewhere, and to one place.
    for (from, to) in [("href=\"#", "id=\""), ("aria-labelledby=\"", "id=\"")] {
        for names in html.split(from).skip(1).filter_map(|rest| rest.split('"').next()) {
            for name in names.split(' ') {
                assert_eq!(html.matches(&format!("{to}{name}\"")).count(), 1, "{name}");
            }
        }
    }
    // A heading is never more than one level below the one before it.
    let mut level = 0;
    for rest in html.split("<h").skip(1) {
        let Some(found) = rest.chars().next().and_then(|first| first.to_digit(10)) else { continue };
        assert!(found <= level + 1, "h{found} after h{level}");
        level = found;
    }
    assert!(level > 0);
}

/// An intruder chooses names. Whatever they are, they are text.
#[test]
fn hostile_names_are_text_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let name =
        r#""</title><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\e[2J | [x](https://example.com) `""#;
    let file = changed(folder.path(), "scenarios/cryptojack-small.yaml", &[("Windows_Server-2022-Update", name)]);
    let Drill { report, html, markdown, .. } = Drill::of(file.to_str().unwrap(), &[]);
    assert!(report.to_string().contains("<script>alert(1)"), "the name is told");
    for text in [&html, &markdown] {
        assert!(text.contains("alert(1)"), "the name is told");
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains(['\u{202e}', '\u{1b}']));
    }
    assert_eq!(
        html.matches("</title>").count(),
        1 + html.matches("<svg role").count() + html.matches("role=\"img\"").count()
    );
    assert!(!markdown.contains("](https://"));
}

#[test]
fn a_region_that_was_not_seen_stands_in_the_summary() {
    let Drill { report, html, markdown, .. } = Drill::of("cryptojack-small", &["--fault", "eu-west-1=no-answer"]);
    assert_eq!(report["overview"]["outcome"], "coverage-incomplete");
    assert_eq!(report["coverage"]["is_complete"], false);
    for text in [&html, &markdown] {
        assert!(text.contains("NOT everything was seen") && text.contains("Not fully: "), "the summary says so");
        assert!(text.contains("eu-west-1 ec2 did not answer"));
    }
}

#[test]
fn the_report_can_be_made_again_and_says_what_it_lacks_without_evidence() {
    let drill = Drill::of("cryptojack-small", &[]);
    let since = drill.report["cost"]["curve"][0]["at"].as_str().unwrap();
    let output = drill.again(&[
        "--html",
        "a.html",
        "--markdown",
        "a.md",
        "--json",
        "a.json",
        "--evidence",
        "drill/evidence",
        "--since",
        since,
    ]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(drill.folder.path().join(name)).unwrap();
    let again: Value = serde_json::from_str(&read("a.json")).unwrap();
    for section in ["overview", "principals", "cost", "coverage", "containment", "evidence", "remaining", "prevention"]
    {
        assert_eq!(again[section], drill.report[section], "{section}");
    }
    assert!(read("a.html").contains("</html>") && read("a.md").starts_with("# "));

    let output = drill.again(&["--html", "b.html", "--json", "b.json"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let bare: Value = serde_json::from_str(&read("b.json")).unwrap();
    assert!(bare["timeline"].is_null() && bare["principals"].is_null() && bare["prevention"].is_null());
    assert_eq!(bare["containment"], drill.report["containment"], "what was done is in the journal");
    assert_eq!(read("b.html").matches("There is no evidence of it.").count(), 4);

    let output = drill.again(&[]);
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("Contained"),
        "without a file it is the closing screen"
    );
    let output = drill.again(&["--html", "no/such/folder.html"]);
    assert_eq!(code(&output), 2);
}

#[test]
fn the_evidence_of_another_drill_is_not_added_to() {
    let first = Drill::of("cryptojack-small", &[]);
    let output = self::drill(first.folder.path(), "cryptojack-small", &[]);
    assert_eq!(code(&output), 2, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds the evidence of another drill"));
}
