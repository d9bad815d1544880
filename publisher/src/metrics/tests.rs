//! The exposition and what stands about it in documents, dashboard and rules.

mod promql;

use super::server::{CLIENTS, DEADLINE};
use super::*;
use crate::alarm::Name;
use crate::config::tests::{A, B};
use crate::status::tests::document;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A file of the workspace.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A scene with all that can be counted.
fn scene(full: bool) -> Scene {
    let mut meters = Meters::default();
    meters.posted(Posted::Stored);
    meters.posted(Posted::Rejected);
    meters.fetched(Fetched::Replayed);
    meters.probed(Probes::NoSocks);
    meters.asked(Asked::Signer, Some(Duration::from_millis(3)));
    meters.asked(Asked::Away, Some(Duration::from_secs(7)));
    let totals = Totals { reloads: 2, reloads_refused: 1, connections: 4, clock_jumps: 1 };
    let mut document = document();
    document.services[0].signer.last_certificate = Some(1_799_990_000);
    Scene::new(document, totals, vec![meters], full)
}

/// The names of all samples in a text, without what a histogram adds.
fn names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    let bare = |name: String| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).map_or(name.clone(), str::to_owned)
    };
    lines.map(name).map(bare).collect()
}

#[test]
fn every_metric_has_a_sample_and_every_sample_a_metric() {
    let text = scene(false).text();
    let listed: BTreeSet<_> = Metric::all().iter().map(Metric::sample_name).collect();
    let mut seen = names(&text);
    // No bundle in this document.
    let bundles = ["covered_until_timestamp_seconds", "left_percent", "slots"];
    seen.extend(bundles.map(|end| format!("onionkeep_bundle_{end}")));
    assert_eq!(seen, listed);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn numbers_are_those_of_the_document() {
    let text = scene(false).text();
    for line in [
        "onionkeep_tor_up 1.0",
        "onionkeep_clock_skew_seconds -180.0",
        "onionkeep_clock_jumps_total 1.0",
        "onionkeep_reloads_total{result=\"refused\"} 1.0",
        "onionkeep_alarms{alarm=\"clock-skew\",service=\"\"} 1.0",
        "onionkeep_alarms{alarm=\"backend-down\",service=\"kenl5sid\"} 0.0",
        "onionkeep_signer_up{service=\"kenl5sid\"} 0.0",
        "onionkeep_backends{service=\"kenl5sid\",state=\"up\"} 1.0",
        "onionkeep_backend_listed_points{service=\"kenl5sid\",backend=\"b1\"} 2.0",
        "onionkeep_descriptor_hsdirs{service=\"kenl5sid\",descriptor=\"first\"} 1.0",
        "onionkeep_descriptor_hsdirs_holding{service=\"kenl5sid\",descriptor=\"first\"} 1.0",
        "onionkeep_descriptor_stored_timestamp_seconds{service=\"kenl5sid\",descriptor=\"first\"} 1799999903.0",
        "onionkeep_uploads_total{service=\"kenl5sid\",result=\"rejected\"} 1.0",
        "onionkeep_fetches_total{service=\"kenl5sid\",result=\"replayed\"} 1.0",
        "onionkeep_signer_seconds_bucket{le=\"0.005\",service=\"kenl5sid\"} 1",
        "onionkeep_signer_seconds_bucket{le=\"+Inf\",service=\"kenl5sid\"} 2",
        "onionkeep_signer_seconds_count{service=\"kenl5sid\"} 2",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
}

#[test]
fn labels_show_ends_and_whole_addresses_only_if_wanted() {
    let short = scene(false).text();
    assert!(!short.contains(A.trim_end_matches(".onion")) && !short.contains(B.trim_end_matches(".onion")));
    let full = scene(true).text();
    assert!(full.contains(A) && !full.contains(B), "a backend's address is in no label");
}

#[test]
fn services_that_end_alike_get_longer_labels() {
    let two = ["aaaaaaaabbbbccccccccd.onion", "aaaaaaaaxxxxccccccccd.onion", "q7.onion"];
    let labels = labels(&two, false);
    assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), 3, "{labels:?}");
    assert_eq!(labels[..2], ["bbbccccccccd", "xxxccccccccd"]);
    assert_eq!(super::labels(&["same.onion", "same.onion"], false), ["same", "same"], "no loop without end");
}

/// The table of metrics, as the document has it.
fn table() -> String {
    let head = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    Metric::all().iter().fold(head, |text, metric| {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.sample_name(), metric.kind.word());
        format!("{text}| `{name}` | {kind} | {} | {} |\n", labels.join(" "), metric.help)
    })
}

#[test]
fn the_document_lists_every_metric_as_it_is() {
    let path = "docs/operate/metrics.md";
    let (old, table) = (file(path), table());
    let (before, rest) = old.split_at(old.find("| metric | kind |").unwrap());
    let (listed, after) = rest.split_at(rest.find("\n\n").map_or(rest.len(), |length| length + 1));
    if std::env::var_os("UPDATE").is_some() {
        let new = format!("{before}{table}{after}");
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path), new).unwrap();
    } else {
        assert_eq!(listed, table, "UPDATE=1 rewrites the table in {path}");
    }
}

#[test]
fn every_alarm_is_documented_and_has_its_sample() {
    let document = file("docs/operate/alarms.md");
    let exposition = scene(false).text();
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), Name::ALL.len(), "rows of alarms that are gone");
    for name in Name::ALL {
        let (word, level) = (name.word(), name.level().name());
        let start = format!("| `{word}` | {level} | {} | ", name.patience());
        let row = rows.iter().find(|row| row.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/operate/alarms.md has no row {start}"));
        assert!(
            row.split('|').filter(|cell| cell.trim().len() > 10).count() >= 2,
            "{word}: meaning and what to do"
        );
        assert!(exposition.contains(&format!("onionkeep_alarms{{alarm=\"{word}\",service=\"")), "{word}");
    }
}

/// Names of metrics that a text asks for: every word that starts like one.
fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|symbol: char| !symbol.is_ascii_alphanumeric() && symbol != '_');
    let ours = words.filter(|word| word.starts_with("onionkeep_"));
    let bare = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(bare).collect()
}

/// Every value of a key, however deep.
fn values<'a>(json: &'a serde_json::Value, key: &str, found: &mut Vec<&'a str>) {
    match json {
        serde_json::Value::Object(map) => {
            found.extend(map.get(key).and_then(serde_json::Value::as_str));
            map.values().for_each(|value| values(value, key, found));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| values(value, key, found)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// Alarms that a text names in `alarm="..."` or `alarm=~"...|..."`.
fn named_alarms(text: &str) -> BTreeSet<String> {
    let quoted = text.split("alarm=").skip(1).map(|rest| rest.trim_start_matches('~'));
    let inside = quoted.filter_map(|rest| rest.split('"').nth(1));
    inside.flat_map(|names| names.split('|')).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&file("publisher/dist/grafana-dashboard.json")).unwrap();
    let listed: BTreeSet<_> = Metric::all().iter().map(Metric::sample_name).collect();
    let mut expressions = Vec::new();
    values(&dashboard, "expr", &mut expressions);
    values(&dashboard, "query", &mut expressions);
    assert!(expressions.len() > 15, "{expressions:?}");
    for expression in expressions {
        let asked = asked(expression);
        assert!(!asked.is_empty() || expression == "prometheus", "{expression}");
        assert!(asked.is_subset(&listed), "{expression}: {:?}", asked.difference(&listed));
        if expression != "prometheus" {
            assert_eq!(promql::read(expression), Ok(()));
        }
    }
    let mut ids = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        ids.push(panel["id"].as_u64().unwrap());
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each panel has its own id");
}

#[test]
fn the_rules_ask_for_metrics_and_alarms_that_exist() {
    use saphyr_parser::{Event, Parser};
    let rules = file("publisher/dist/prometheus-rules.yml");
    let words: Vec<String> = Parser::new_from_str(&rules)
        .filter_map(|event| {
            let event = event.unwrap().0;
            if let Event::Scalar(text, ..) = event { Some(text.into_owned()) } else { None }
        })
        .collect();
    let listed: BTreeSet<_> = Metric::all().iter().map(Metric::sample_name).collect();
    let expressions: Vec<_> =
        words.windows(2).filter(|pair| pair[0] == "expr").map(|pair| pair[1].clone()).collect();
    assert!(expressions.len() >= 4, "{expressions:?}");
    for expression in &expressions {
        let asked = asked(expression);
        assert!(!asked.is_empty() && asked.is_subset(&listed), "{expression}");
        assert_eq!(promql::read(expression), Ok(()));
    }
    let known: BTreeSet<_> = Name::ALL.iter().map(|name| name.word().to_owned()).collect();
    let named = named_alarms(&expressions.join("\n"));
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));
}

/// A server in a folder, what it answers to these octets, and after how many answers of the publisher.
async fn ask(request: &[u8], tcp: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.sock");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = if tcp { MetricsAddr::Tcp(port) } else { MetricsAddr::Unix(path.clone()) };
    let mut server = MetricsServer::open(&at).unwrap();
    let answering = tokio::spawn(async move { server.next().await.answer("all is well\n".to_owned()).await });
    let mut answer = String::new();
    if tcp {
        let mut stream = tokio::net::TcpStream::connect(port).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    } else {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    }
    answering.abort();
    answer
}

#[tokio::test]
async fn one_request_is_answered_and_no_other() {
    let good =
        ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9180\r\nAccept: text/plain\r\n\r\n", true).await;
    assert!(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("\r\n\r\nall is well\n"), "{good}");
    assert!(good.contains("application/openmetrics-text") && good.contains("Content-Length: 12\r\n"));
    let unix = ask(b"GET /metrics?x=1 HTTP/1.0\r\nHost: anything\r\n\r\n", false).await;
    assert!(unix.starts_with("HTTP/1.1 200 OK"), "{unix}");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(9000));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
        ("GET /metrics HTTP/1.1\r\nHost: rebound.example.com\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("\u{1}\u{2}\u{3}\r\n\r\n", "400"),
        ("GET /metrics\r\n\r\n", "400"),
        (&long, "431"),
        (&many, "400"),
    ] {
        let answer = ask(request.as_bytes(), true).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.60}: {answer}");
        assert!(!answer.contains("all is well"));
    }
}

#[tokio::test]
async fn stuck_clients_do_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.sock");
    let mut server = MetricsServer::open(&MetricsAddr::Unix(path.clone())).unwrap();
    // Silent, half-said, or gone: as many as are heard at once, and some more that wait.
    let mut stuck = Vec::new();
    for number in 0..CLIENTS + 2 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /met").await.unwrap();
        }
        stuck.push(stream);
    }
    let mut last = UnixStream::connect(&path).await.unwrap();
    last.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), server.next()).await;
    assert!(early.is_err(), "all places are taken");
    // Twice the deadline: those that waited were heard in vain too.
    let scraper = tokio::time::timeout(DEADLINE * 4, server.next()).await.unwrap();
    // It does not read: 8 MiB do not fit into a socket's buffers.
    let begun = tokio::time::timeout(DEADLINE * 4, scraper.answer(" ".repeat(8 << 20))).await;
    assert!(begun.is_ok(), "the deadline ends it");
    drop((stuck, last));
}

#[tokio::test]
async fn an_address_that_others_reach_is_no_place_to_listen() {
    let outside = "0.0.0.0:0".parse().unwrap();
    let error = MetricsServer::open(&MetricsAddr::Tcp(outside)).err().unwrap();
    assert!(error.to_string().contains("not an address of this machine alone"), "{error}");
}
