//! Events as tor 0.4.9.11 wrote them, and lines that are none.

use super::*;
use onionkeep_common::OnionAddress;

const ONION: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid";
const HSDIR: &str = "CC580EA03608DD84AF9297F1FA8F072C1B0C1A1B";

/// The event of these lines after the code.
fn event(line: &str) -> Event {
    Event::of(Reply { code: 650, lines: vec![line.to_owned(), "OK".to_owned()] })
}

fn key() -> Key {
    Key::of(&ONION.parse::<OnionAddress>().unwrap(), HSDIR.parse().unwrap())
}

#[test]
fn observed_events_are_read() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/control.json")).unwrap();
    let fill = |line: &str| {
        let line = line.replace(" ADDR", &format!(" {ONION}")).replace("HEX64", &"A".repeat(64));
        line.replace(" HSDIR ", &format!(" ${HSDIR}~n ")).replace("$FP40", &format!("${HSDIR}"))
    };
    let mut seen = Vec::new();
    for row in vectors["observed"]["lines"].as_array().unwrap() {
        for line in row["events"].as_array().into_iter().flatten() {
            let line = fill(line.as_str().unwrap());
            let Some(rest) = line.strip_prefix("650").filter(|rest| !rest.starts_with(" OK")) else {
                continue;
            };
            match event(rest.get(1..).unwrap()) {
                Event::Directory(found, outcome) => {
                    assert_eq!(found, key(), "{line}");
                    seen.push(format!("{outcome:?}"));
                }
                Event::News(news) => seen.push(format!("{news:?}")),
                Event::Status | Event::Unknown => seen.push("-".to_owned()),
            }
        }
    }
    let wanted = [
        "-",
        "-",
        "-", // REQUESTED, RECEIVED, and a content whose lines are not in the vector
        "-",
        "Failed(\"NOT_FOUND\")",
        "-",
        "Uploaded",
        "Failed(\"UPLOAD_REJECTED\")",
        "NewConsensus",
        "-",
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn content_is_the_unstuffed_text_and_empty_content_is_nothing() {
    let head = format!("HS_DESC_CONTENT {ONION} wGPM33iysCjSRMZQ7cZAig/vi3/dJAo8jshyGEUJvAc ${HSDIR}~auth1");
    let full = event(&format!("{head}\r\nhs-descriptor 3\r\n..dot\r\nsignature x"));
    let text = b"hs-descriptor 3\n.dot\nsignature x\n".to_vec();
    assert_eq!(full, Event::Directory(key(), Outcome::Content(text)));
    assert_eq!(event(&format!("{head}\r\n")), Event::Unknown);
    assert_eq!(event(&head), Event::Unknown);
}

#[test]
fn tors_word_about_the_clock_is_heard() {
    for (line, ahead) in [
        ("STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=OR:192.0.2.1:443", -7200),
        ("STATUS_GENERAL WARN CLOCK_SKEW SKEW=86400 SOURCE=DIRSERV:192.0.2.1:80", 86_400),
        ("STATUS_GENERAL WARN CLOCK_SKEW MIN_SKEW=-3700 SOURCE=CONSENSUS", -3700),
    ] {
        assert_eq!(event(line), Event::News(TorEvent::ClockSkew(ahead)), "{line}");
    }
    for line in ["STATUS_GENERAL WARN CLOCK_SKEW", "STATUS_GENERAL WARN CLOCK_SKEW SKEW=soon"] {
        assert_eq!(event(line), Event::Unknown, "{line}");
    }
    assert_eq!(event("STATUS_GENERAL NOTICE CLOCK_JUMPED TIME=120"), Event::Status);
}

#[test]
fn status_events_become_news() {
    let bootstrap = event("STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"");
    let state = Bootstrap { percent: 100, tag: "done".into(), summary: "Done".into(), warning: None };
    assert_eq!(bootstrap, Event::News(TorEvent::Bootstrap(state)));
    let warned =
        "STATUS_CLIENT WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"Connecting\" WARNING=\"No route\" X=1";
    let Event::News(TorEvent::Bootstrap(state)) = event(warned) else { panic!("{warned}") };
    assert_eq!(state.to_string(), "bootstrapped 5 %, Connecting (No route)");
    for (word, news) in [
        ("CONSENSUS_ARRIVED", TorEvent::NewConsensus),
        ("ENOUGH_DIR_INFO", TorEvent::EnoughDirInfo(true)),
        ("NOT_ENOUGH_DIR_INFO", TorEvent::EnoughDirInfo(false)),
        ("CIRCUIT_ESTABLISHED", TorEvent::Circuits(true)),
        ("CIRCUIT_NOT_ESTABLISHED REASON=CLOCK_JUMPED", TorEvent::Circuits(false)),
    ] {
        assert_eq!(event(&format!("STATUS_CLIENT NOTICE {word}")), Event::News(news));
    }
    assert_eq!(event("NETWORK_LIVENESS UP"), Event::News(TorEvent::Network(true)));
    assert_eq!(event("NETWORK_LIVENESS DOWN"), Event::News(TorEvent::Network(false)));
}

#[test]
fn what_is_not_known_or_not_well_formed_is_ignored() {
    for line in [
        "",
        "FUTURE_EVENT a b",
        "NETWORK_LIVENESS SIDEWAYS",
        "STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=101",
        "STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=x",
        "HS_DESC UPLOADED short UNKNOWN $CC580EA03608DD84AF9297F1FA8F072C1B0C1A1B",
        "HS_DESC UPLOADED",
        "HS_DESC_CONTENT a b",
        &format!("HS_DESC UPLOADED {ONION} UNKNOWN UNKNOWN"),
        &format!("HS_DESC CREATED {ONION} UNKNOWN UNKNOWN wGPM33iysCjSRMZQ7cZAig/vi3/dJAo8jshyGEUJvAc"),
    ] {
        assert_eq!(event(line), Event::Unknown, "{line}");
    }
    assert_eq!(event("STATUS_CLIENT NOTICE SOMETHING_NEW"), Event::Status);
}

proptest::proptest! {
    #[test]
    fn no_event_panics(line in "(HS_DESC|HS_DESC_CONTENT|STATUS_CLIENT|STATUS_GENERAL|NETWORK_LIVENESS)?( [\\PC\r\n\"$~=]{0,20}){0,6}") {
        let _event = event(&line);
    }
}
