//! A backend that is somebody else's, and means harm: whatever it lists, the frontend is uploaded.

use super::onions::{BEGIN, Onion, fetched, make, points};
use super::stage::{SERVICES, Setup, Stage};
use crate::clock;
use crate::descriptor::IntroPoint;
use onionkeep_common::UnixTime;

/// The service that has one good backend, of this number, and one that means harm.
const SERVICE: usize = 1;
/// The number of the one that means harm, which is another service's own.
const BAD: usize = SERVICE + 1;

/// Link specifiers of a point on this relay.
fn links(relay: u8) -> Vec<u8> {
    [&[2, 0, 6, 192, 0, 2, relay, 1, 2, 2, 20][..], &[relay; 20]].concat()
}

/// What becomes of the service while one of its backends lists these points: uploads after it did, and the log.
async fn uploads(mode: &str, listed: &[IntroPoint]) -> (usize, Vec<String>) {
    let bad = Onion::new(b'b', BAD);
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines =
            format!("{mode}[[service.backend]]\nname = \"bad\"\naddress = \"{}\"\n", bad.address());
        setups
    });
    stage.pass(200).await;
    let before = stage.uploads(SERVICE).len();
    let now = clock::now();
    let role = fetched(now.0 / 3600 * 3600);
    let text = make(u64::try_from(BAD).unwrap(), &bad, &role, now, listed, "any");
    let (onion, hsdir) = (bad.address().bare(), "A".repeat(40));
    stage.port.emit(&format!("650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"));
    // Longer than any time between two uploads.
    stage.pass(2 * 3600 + 600).await;
    (stage.uploads(SERVICE).len() - before, stage.log().to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_lists_the_keys_of_another_ends_no_upload() {
    let good = points(u64::try_from(SERVICE).unwrap(), UnixTime(BEGIN));
    let copied = |(at, point): (usize, &IntroPoint)| {
        let links = links(200 + u8::try_from(at).unwrap());
        IntroPoint::new(links, *point.onion_key(), *point.auth_key(), *point.enc_key()).unwrap()
    };
    let copied: Vec<_> = good.iter().enumerate().map(copied).collect();
    for mode in ["", "mode = \"wide\"\n", "mode = \"distinct\"\n"] {
        let (uploads, log) = uploads(mode, &copied).await;
        assert!(uploads > 0 && !log.iter().any(|line| line.contains("no-upload")), "{mode}: {log:#?}");
        assert!(
            log.iter().any(|line| line.contains("alarm name=backends-share-keys state=raised")),
            "{mode}"
        );
    }
}
