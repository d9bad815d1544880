//! `HSDir`s behind the control port that keep, lose, change or withhold what they took: what asking them for it finds.

use super::*;
use crate::consensus::Fingerprint;
use std::collections::HashMap;
use std::sync::Mutex;

/// An upload with what the control protocol changes on the way: line ends, a dot at the start of a line, an empty line.
const TEXT: &str = "hs-descriptor 3\n.dot\n\n-----BEGIN MESSAGE-----\nAAAA\n-----END MESSAGE-----\n";
/// The numbers of the `HSDir`s, by how they behave.
const KEEPS: u8 = 1;
const DROPS: u8 = 2;
const KEEPS_OLD: u8 = 3;
const HANGS: u8 = 4;

fn hsdir(number: u8) -> Fingerprint {
    Fingerprint([number; 20])
}

/// What each has, as it came over the wire.
type Held = Arc<Mutex<HashMap<String, String>>>;

/// tor with these `HSDir`s behind it.
fn answer(command: &Command, held: &Held) -> Answer {
    let Some((_before, rest)) = command.line.split_once("SERVER=") else { return ordinary(command) };
    let server = rest.split(' ').next().unwrap_or_default().to_owned();
    let is = |number: u8| hsdir(number).to_string() == server;
    if is(HANGS) {
        return Answer::ok();
    }
    if command.line.starts_with("+HSPOST") {
        let data = command.data.strip_suffix(".\r\n").unwrap_or(&command.data).to_owned();
        let kept = if is(KEEPS_OLD) { "hs-descriptor 3\r\n".to_owned() } else { data };
        held.lock().unwrap().insert(server.clone(), kept);
        return Answer::text(&format!("250 OK\n650 HS_DESC UPLOADED {ONION} UNKNOWN ${server}\n"));
    }
    if is(DROPS) {
        let failed = format!("650 HS_DESC FAILED {ONION} NO_AUTH ${server} b REASON=NOT_FOUND\n");
        return Answer::text(&format!(
            "250 OK\n{failed}650+HS_DESC_CONTENT {ONION} b ${server}\n\n.\n650 OK\n"
        ));
    }
    let text = held.lock().unwrap().get(&server).cloned().unwrap_or_default();
    let event = format!("250 OK\r\n650+HS_DESC_CONTENT {ONION} b ${server}\r\n{text}.\r\n650 OK\r\n");
    Answer::Raw(event.into_bytes())
}

#[tokio::test]
async fn what_became_of_an_upload_is_seen_by_asking_for_it_and_a_bad_hsdir_blocks_no_other() {
    let held = Held::default();
    let port = ControlPort::unix(Auth::Null, move |command| answer(command, &held));
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let all = [HANGS, KEEPS, DROPS, KEEPS_OLD].map(hsdir);
    let wait = Duration::from_secs(2);
    let onion = onion();
    let (hung, good) = tokio::join!(tor.post(&onion, all[0], TEXT, wait), async {
        let mut answers = Vec::new();
        for hsdir in &all[1..] {
            answers.push(tor.post(&onion, *hsdir, TEXT, SOON).await);
        }
        answers
    });
    assert_eq!(hung, Err(PostFailure::Timeout));
    assert!(good.iter().all(Result::is_ok), "all others say that they have it: {good:?}");
    let found: HashMap<_, _> = tor.fetch(&onion, &all, wait).await.into_iter().collect();
    let kept = String::from_utf8(found[&hsdir(KEEPS)].clone().unwrap()).unwrap();
    assert!(kept.lines().eq(TEXT.lines()), "{kept:?}");
    assert_eq!(found[&hsdir(DROPS)], Err(FetchFailure::NotFound));
    let old = String::from_utf8(found[&hsdir(KEEPS_OLD)].clone().unwrap()).unwrap();
    assert!(!old.lines().eq(TEXT.lines()), "{old:?}");
    assert_eq!(found[&hsdir(HANGS)], Err(FetchFailure::Timeout));
}
