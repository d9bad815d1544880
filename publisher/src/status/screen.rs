//! The status document as a screen: lines of styled text, cut to the terminal's size. Pure.

use super::table::{ago, ahead, former, length, short};
use super::{AlarmStatus, BackendStatus, DescriptorStatus, Document, ServiceStatus};
use crate::netdoc::date::Iso;
use onionkeep_common::UnixTime;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// What names a part.
    Head,
    /// What matters less.
    Dim,
    /// Well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Style {
    /// The sequence that switches it on.
    const fn code(self, colour: bool) -> &'static str {
        match (self, colour) {
            (Self::Plain, _) | (Self::Good, false) => "",
            (Self::Head, _) | (Self::Warn, false) => "\x1b[1m",
            (Self::Dim, _) => "\x1b[2m",
            (Self::Bad, false) => "\x1b[7m",
            (Self::Good, true) => "\x1b[32m",
            (Self::Warn, true) => "\x1b[33m",
            (Self::Bad, true) => "\x1b[1;31m",
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(Vec<(Style, String)>);

impl Row {
    /// A line of one style.
    pub(super) fn of(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// Goes on with another piece.
    pub(super) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// The text alone, cut to `width`; whatever could move the cursor or has another width than 1 becomes `?`.
    #[cfg(test)]
    pub(super) fn text(&self, width: usize) -> String {
        self.pieces(width).map(|(_style, text)| text).collect()
    }

    /// The text with its sequences, cut to `width`.
    pub(super) fn ansi(&self, width: usize, colour: bool) -> String {
        self.pieces(width).fold(String::new(), |line, (style, text)| match style.code(colour) {
            "" => line + &text,
            code => format!("{line}{code}{text}\x1b[0m"),
        })
    }

    /// The pieces that fit into `width`.
    fn pieces(&self, width: usize) -> impl Iterator<Item = (Style, String)> {
        let mut left = width;
        self.0.iter().filter_map(move |(style, text)| {
            let plain = |symbol: char| if (' '..='~').contains(&symbol) { symbol } else { '?' };
            let cut: String = text.chars().take(left).map(plain).collect();
            left = left.saturating_sub(cut.len());
            (!cut.is_empty()).then_some((*style, cut))
        })
    }
}

/// The whole document; the caller shows the part that fits.
pub(super) fn rows(document: &Document) -> Vec<Row> {
    let mut rows = vec![head(document)];
    if let Some(problem) = &document.tor.problem {
        rows.push(Row::of(Style::Bad, format!("tor: {problem}")));
    }
    rows.push(Row::default());
    rows.extend(alarms(document));
    for service in &document.services {
        rows.push(Row::default());
        rows.extend(service_rows(service, document.now));
    }
    rows
}

/// The first line: what runs, and tor.
fn head(document: &Document) -> Row {
    let tor = &document.tor;
    let style = if tor.state == "ready" && !tor.offline { Style::Good } else { Style::Bad };
    let offline = if tor.offline { ", offline" } else { "" };
    let running = length(document.now.saturating_sub(document.started));
    let row = Row::of(Style::Head, format!("onionkeep {}", document.version))
        .and(Style::Plain, format!("  up {running}  tor {} ", tor.version.as_deref().unwrap_or("?")))
        .and(style, format!("{}{offline}", tor.state));
    let Some(valid_after) = tor.consensus_valid_after else { return row.and(Style::Warn, "  no consensus") };
    let age = length(document.now.saturating_sub(valid_after));
    let row = row.and(Style::Plain, format!("  consensus {age} old, {} HSDirs", tor.hsdirs));
    match tor.clock_skew {
        None => row,
        Some(skew) => row.and(Style::Warn, format!("  clock {skew:+} s")),
    }
}

/// Alarms, and what is worth a look beside them.
fn alarms(document: &Document) -> Vec<Row> {
    let told: Vec<_> = document.alarms.iter().map(|alarm| alarm.text.as_str()).collect();
    let more: Vec<_> =
        document.warnings.iter().filter(|warning| !told.iter().any(|text| warning.ends_with(text))).collect();
    if document.alarms.is_empty() && more.is_empty() {
        return vec![Row::of(Style::Good, "no alarms")];
    }
    let mut rows = vec![Row::of(Style::Head, format!("alarms: {}", document.alarms.len()))];
    rows.extend(document.alarms.iter().map(|alarm| alarm_row(alarm, document.now)));
    rows.extend(more.into_iter().map(|warning| Row::of(Style::Warn, format!("  {warning}"))));
    rows
}

/// One alarm.
fn alarm_row(alarm: &AlarmStatus, now: u64) -> Row {
    let style = if alarm.level == "error" { Style::Bad } else { Style::Warn };
    let service = alarm.service.as_deref().map_or_else(String::new, |service| format!("{} ", short(service)));
    let since = length(now.saturating_sub(alarm.since));
    Row::of(Style::Plain, "  ")
        .and(style, format!("{:<16}", alarm.name))
        .and(Style::Dim, format!(" {since:>7}  "))
        .and(Style::Plain, format!("{service}{}", alarm.text))
}

/// One frontend.
fn service_rows(service: &ServiceStatus, now: u64) -> Vec<Row> {
    let signer = &service.signer;
    let style = match signer.state.as_str() {
        "ok" => Style::Good,
        "away" | "refused" => Style::Bad,
        _other => Style::Dim,
    };
    let mut rows = vec![
        Row::of(Style::Head, short(&service.address))
            .and(Style::Plain, format!("  {}  signer ", service.mode))
            .and(style, signer.state.clone())
            .and(Style::Dim, format!(", certificate {}", ago(now, signer.last_certificate))),
    ];
    if let Some(problem) = &signer.problem {
        rows.push(Row::of(Style::Warn, format!("  {problem}")));
    }
    if let Some(bundles) = &service.bundles {
        let text = bundles.to_string();
        rows.extend(text.lines().map(|line| Row::of(Style::Plain, line)));
    }
    rows.extend(former(service).map(|text| Row::of(Style::Dim, format!("  {text}"))));
    rows.push(Row::of(
        Style::Dim,
        format!(
            "  {:<16} {:<8} {:>11} {:>11} {:>6} {:>6} {:>6} {:>7}",
            "backend", "state", "published", "fetched", "points", "listed", "weight", "share"
        ),
    ));
    rows.extend(service.backends.iter().map(|backend| backend_row(backend, now)));
    if !service.removed.is_empty() {
        rows.push(Row::of(Style::Warn, format!("  removed at run time: {}", service.removed.join(", "))));
    }
    rows.extend(service.descriptors.iter().flat_map(|desc| descriptor_rows(desc, now)));
    rows
}

/// One backend.
fn backend_row(backend: &BackendStatus, now: u64) -> Row {
    let style = match backend.state.as_str() {
        "up" => Style::Good,
        "draining" | "unknown" | "stale" => Style::Warn,
        _other => Style::Bad,
    };
    let (age, fetched) = (ago(now, backend.uploaded), ago(now, backend.fetched));
    let BackendStatus { name, state, points, listed, weight, .. } = backend;
    let share = format!("{}.{} %", backend.share / 10_000, backend.share / 1000 % 10);
    let numbers = format!(" {age:>11} {fetched:>11} {points:>6} {listed:>6} {weight:>6} {share:>7}");
    let row = Row::of(Style::Plain, format!("  {name:<16} ")).and(style, format!("{state:<8}"));
    let row = row.and(Style::Plain, numbers);
    let notes = backend.changed.iter().chain(&backend.problem);
    notes.fold(row, |row, note| row.and(Style::Dim, format!("  {note}")))
}

/// One descriptor: a line, how many HSDirs hold it, and those that do not.
fn descriptor_rows(desc: &DescriptorStatus, now: u64) -> Vec<Row> {
    let wanted = desc.hsdirs.len();
    let holds = |revision: Option<u64>| revision.is_some() && revision >= desc.revision;
    let held = desc.hsdirs.iter().filter(|hsdir| holds(hsdir.stored_revision)).count();
    let style = if held == wanted && wanted > 0 {
        Style::Good
    } else if held.saturating_mul(4) >= wanted.saturating_mul(3) && held > 0 {
        Style::Warn
    } else {
        Style::Bad
    };
    let bar: String =
        desc.hsdirs.iter().map(|hsdir| if holds(hsdir.stored_revision) { '#' } else { '.' }).collect();
    let now_asked = if desc.fetched_now { "  <- clients ask for this one" } else { "" };
    let mut rows = vec![
        Row::of(Style::Plain, format!("  {:<6} descriptor  held by ", desc.role))
            .and(style, format!("{held} of {wanted} [{bar}]"))
            .and(Style::Dim, now_asked),
        Row::of(
            Style::Dim,
            format!(
                "    uploaded {}, next {}, certificate ends {}, {} points, {} octets, period {}, revision {}",
                ago(now, desc.uploaded),
                ahead(now, desc.next_upload),
                ahead(now, desc.certificate_expires),
                desc.points,
                desc.octets,
                desc.period,
                desc.revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string()),
            ),
        ),
    ];
    for hsdir in desc.hsdirs.iter().filter(|hsdir| !holds(hsdir.stored_revision)) {
        let name: String = hsdir.fingerprint.chars().take(8).collect();
        let text = format!("    {name} {} {}", ago(now, hsdir.at), hsdir.result);
        rows.push(Row::of(Style::Warn, text));
    }
    rows
}

/// The last line: how fresh it is, what part is seen, keys.
pub(super) fn foot(seen: std::ops::Range<usize>, all: usize, state: &Result<u64, String>) -> Row {
    let row = match state {
        Ok(now) => Row::of(Style::Dim, format!("{}", Iso(UnixTime(*now)))),
        Err(problem) => Row::of(Style::Bad, format!("no answer: {problem}")),
    };
    let row = row.and(Style::Dim, "  q quit");
    if seen.len() >= all {
        return row;
    }
    let (from, to) = (seen.start.saturating_add(1), seen.end);
    row.and(Style::Dim, format!("  line {from} to {to} of {all}: arrow and page keys"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::document;

    fn text(document: &Document, width: usize) -> String {
        rows(document).iter().map(|row| row.text(width) + "\n").collect()
    }

    #[test]
    fn the_screen_shows_what_an_operator_looks_for() {
        let mut document = document();
        document.services[0].descriptors[0].hsdirs.push(crate::status::HsDirStatus {
            fingerprint: "B".repeat(40),
            result: "timeout".to_owned(),
            at: Some(1_799_999_940),
            stored_revision: None,
            stored_at: None,
            copy: String::new(),
            given_revision: None,
            looked_at: None,
        });
        let text = text(&document, 200);
        for wanted in [
            "onionkeep 0.1.0  up 2 h  tor 0.4.9.11 ready  consensus 60 min old, 12 HSDirs  clock -180 s",
            "alarms: 1",
            "  clock-skew         5 min  our clock is 180 s behind",
            "  look at this",
            "[...]kenl5sid.onion  ordinary  signer away, certificate never",
            "  b1               up        16 min ago    10 s ago      3      2      1  66.6 %  weight 2 in the file",
            "  first  descriptor  held by 1 of 2 [#.]  <- clients ask for this one",
            "    BBBBBBBB 60 s ago timeout",
        ] {
            assert!(text.lines().any(|line| line.starts_with(wanted)), "{wanted} in\n{text}");
        }
        assert!(!text.contains(crate::config::tests::A) && !text.contains("AAAAAAAA"));
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for width in [0, 1, 20, 79] {
            assert!(text(&document(), width).lines().all(|line| line.len() <= width));
        }
    }

    #[test]
    fn what_comes_from_outside_cannot_move_the_cursor() {
        let mut document = document();
        document.services[0].backends[0].problem = Some("\x1b]0;owned\x07\r\n\u{202e}evil".to_owned());
        let ansi: String = rows(&document).iter().map(|row| row.ansi(300, false)).collect();
        assert!(ansi.contains("?]0;owned????evil"), "{ansi}");
        let plain = |row: &Row| row.text(300).chars().all(|symbol| (' '..='~').contains(&symbol));
        assert!(rows(&document).iter().all(plain));
    }

    #[test]
    fn colours_are_left_out_if_not_wanted() {
        let row = Row::of(Style::Good, "up").and(Style::Bad, "down");
        assert_eq!(row.ansi(80, true), "\x1b[32mup\x1b[0m\x1b[1;31mdown\x1b[0m");
        assert_eq!(row.ansi(4, false), "up\x1b[7mdo\x1b[0m");
    }

    #[test]
    fn the_foot_says_what_is_seen_and_that_nobody_answers() {
        assert_eq!(foot(0..5, 5, &Ok(0)).text(200), "1970-01-01T00:00:00Z  q quit");
        let foot = foot(10..20, 57, &Err("gone".to_owned())).text(200);
        assert_eq!(foot, "no answer: gone  q quit  line 11 to 20 of 57: arrow and page keys");
    }
}
