//! A report as one page that needs nothing else: no network, no script. The template escapes what it is given, and [`shown`]
//! spells out before what would not be seen.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::block::{Block, Cell, Entry, Figure, Picture, Table, Tone, clock};
use super::charts::{Chart, Svg};
use super::timeline::Timeline;
use super::{Report, Section, principals};
use crate::model::AccountId;
use crate::report::text::shown;
use crate::story::{Story, Window};

/// How it looks: light, dark, on a phone, on paper.
const STYLE: &str = include_str!("html/style.css");
/// The page may show itself and nothing else, whatever has got into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The report of a run.
pub fn page(report: &Report) -> String {
    let accounts: Vec<&str> = report.accounts.iter().map(AccountId::as_str).collect();
    sheet(&Sheet {
        title: &format!("Report of run {}: {}", report.run, report.title),
        kind: "Incident report",
        heading: &report.title,
        under: html! {
            "Account " (accounts.join(", ")) " · run " code { (report.run) } " of " (shown(&report.runbook))
            ", begun " (time(report.started)) " UTC by " code { (shown(&report.by)) }
            ". All times are UTC."
        },
        sections: &report.sections(),
        made: html! {
            "Made by quell " (shown(&report.quell)) " from the journal of the run and the evidence that is named above. "
            "The same can be had as Markdown and JSON."
        },
    })
}

/// A story without a run: what happened, and whose credentials did it.
pub fn story(story: &Story) -> String {
    let Window { from, until, .. } = story.window;
    sheet(&Sheet {
        title: "Timeline",
        kind: "Timeline",
        heading: "What happened",
        under: html! { "By evidence from " (time(from)) " to " (time(until)) ". All times are UTC." },
        sections: &[
            ("timeline", "What happened", Timeline::of(story).blocks()),
            ("principals", "Whose credentials", principals::blocks(&story.findings)),
        ],
        made: html! { "Made by quell " (env!("CARGO_PKG_VERSION")) ". The same can be had as JSON, and as CSV for Timesketch." },
    })
}

/// What stands on a page.
struct Sheet<'a> {
    /// The title of the window.
    title: &'a str,
    /// What sort of page it is.
    kind: &'a str,
    /// Its heading.
    heading: &'a str,
    /// What stands under that.
    under: Markup,
    /// The sections: an anchor, a heading, and what is in it.
    sections: &'a [Section],
    /// Of what it was made.
    made: Markup,
}

/// The whole page.
fn sheet(sheet: &Sheet<'_>) -> String {
    let Sheet { title, kind, heading, under, sections, made } = sheet;
    let first = sections.first().map_or("", |(id, ..)| id);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (shown(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href={ "#" (first) } { "Skip to the " (first) }
                header {
                    p.kind { (kind) }
                    h1 { (shown(heading)) }
                    p.quiet { (under) }
                }
                nav aria-label="Sections" {
                    ul { @for (id, heading, _) in *sections { li { a href={ "#" (id) } { (heading) } } } }
                }
                main {
                    @for (id, heading, blocks) in *sections {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (heading) }
                            (Page { id, level: 3 }.blocks(blocks))
                        }
                    }
                }
                footer {
                    p.quiet { (made) }
                    p.quiet.paper { "What is folded up is on paper only where it was opened." }
                }
            }
        }
    };
    page.into_string()
}

/// Where on the page blocks stand.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    /// What the ids of parts begin with.
    id: &'a str,
    /// The level of the next heading.
    level: usize,
}

impl Page<'_> {
    /// Blocks one after the other; what follows a heading stands under it.
    fn blocks(self, blocks: &[Block]) -> Markup {
        let mut level = self.level;
        let mut markup = Vec::new();
        for (number, block) in blocks.iter().enumerate() {
            if let Block::Heading(text) = block {
                level = self.level + 1;
                markup.push(heading(self.level, &html! { (shown(text)) }));
            } else {
                markup.push(Page { id: &format!("{}-{number}", self.id), level }.block(block));
            }
        }
        html! { @for one in markup { (one) } }
    }

    fn block(self, block: &Block) -> Markup {
        match block {
            Block::Heading(text) => heading(self.level, &html! { (shown(text)) }),
            Block::Text(text) => html! { p { (shown(text)) } },
            Block::Notice(tone, text) => html! { p.notice.(class(*tone)) { (shown(text)) } },
            Block::Figures(figures) => html! { dl.figures { @for one in figures { (figure(one)) } } },
            Block::Terms(terms) => html! {
                dl.terms { @for (term, said) in terms { div { dt { (shown(term)) } dd { (cell(said)) } } } }
            },
            Block::List(points) => html! { ul { @for point in points { li { (cell(point)) } } } },
            Block::Table(rows) => table(rows),
            Block::Picture(picture) => self.picture(picture),
            Block::Folded(summary, blocks) => html! {
                details { summary { (shown(summary)) } (self.blocks(blocks)) }
            },
            Block::Entry(Entry { heading: name, mark: word, blocks }) => html! {
                div.entry {
                    (heading(self.level, &html! {
                        (shown(name))
                        @if let Some((tone, word)) = word { " " (mark(*tone, word)) }
                    }))
                    (Page { level: self.level + 1, ..self }.blocks(blocks))
                }
            },
        }
    }

    fn picture(self, Picture { chart, legend, table: rows }: &Picture) -> Markup {
        html! {
            figure {
                @if !legend.is_empty() {
                    ul.legend { @for (symbol, word) in legend { li { (ornament(symbol)) (word) } } }
                }
                (self.svg(chart, &chart.drawn.wide, "wide"))
                (self.svg(chart, &chart.drawn.narrow, "narrow"))
                figcaption { (shown(&chart.description)) }
            }
            details { summary { "The same figures as a table" } (table(rows)) }
        }
    }

    fn svg(self, chart: &Chart, Svg { size: (width, height), elements }: &Svg, class: &str) -> Markup {
        let (title, gist) = (format!("{}-{class}-title", self.id), format!("{}-{class}-gist", self.id));
        html! {
            svg.(class) role="img" aria-labelledby={ (title) " " (gist) } viewBox={ "0 0 " (width) " " (height) } {
                title id=(title) { (shown(&chart.title)) }
                desc id=(gist) { (shown(&chart.description)) }
                // Drawn by `charts::ink`, which escapes its texts.
                (PreEscaped(elements))
            }
        }
    }
}

/// A mark of a legend; the word beside it says the same.
fn ornament(Svg { size: (width, height), elements }: &Svg) -> Markup {
    html! {
        svg aria-hidden="true" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } { (PreEscaped(elements)) }
    }
}

fn heading(level: usize, content: &Markup) -> Markup {
    match level {
        ..=3 => html! { h3 { (content) } },
        4 => html! { h4 { (content) } },
        5 => html! { h5 { (content) } },
        _ => html! { h6 { (content) } },
    }
}

fn figure(Figure { label, value, note }: &Figure) -> Markup {
    html! {
        div {
            dt { (shown(label)) }
            dd.value { (shown(value)) }
            dd.quiet { (shown(note)) }
        }
    }
}

/// A table that scrolls by itself where it is wider than the page, also by keyboard.
fn table(Table { caption, head, rows }: &Table) -> Markup {
    let is_figure = |column: usize| rows.first().is_some_and(|row| matches!(row.get(column), Some(Cell::Number(_))));
    html! {
        div.scroll tabindex="0" role="group" aria-label=(shown(caption)) {
            table {
                caption { span { (shown(caption)) } }
                thead {
                    tr { @for (column, name) in head.iter().enumerate() { th.number[is_figure(column)] scope="col" { (name) } } }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, one) in row.iter().enumerate() {
                                @if column == 0 {
                                    th scope="row" { (cell(one)) }
                                } @else {
                                    td.number[matches!(one, Cell::Number(_))] { (cell(one)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(cell: &Cell) -> Markup {
    match cell {
        Cell::Text(text) | Cell::Number(text) => html! { (shown(text)) },
        Cell::Code(text) => html! { code { (shown(text)) } },
        Cell::Time(at) => time(*at),
        Cell::Mark(tone, word) => mark(*tone, word),
    }
}

fn time(at: jiff::Timestamp) -> Markup {
    html! { time datetime=(at) { (clock(at)) } }
}

fn mark(tone: Tone, word: &str) -> Markup {
    html! { span.mark.(class(tone)) { (shown(word)) } }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Open => "open",
        Tone::Bad => "bad",
        Tone::Plain => "plain",
    }
}
