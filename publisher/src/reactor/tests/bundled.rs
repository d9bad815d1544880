//! A bundle that is imported while the state folder cannot be written: nothing is uploaded with a slot's key that is not on disk, for
//! after a restart the same period would be uploaded with another one.

use super::onions::Onion;
use super::stage::{SERVICES, Setup, Stage, address, passed};
use crate::ceremony::import::import;
use crate::ceremony::request::{Wish, new};
use crate::ceremony::seal::Seal;
use crate::ceremony::tests::{answer, sealed};
use crate::ceremony::{Bundles, Store};
use crate::clock;
use crate::state::StateDir;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{Bundle, BundleSlot, Kind};
use onionkeep_common::{TimePeriod, UnixTime};
use std::path::Path;

/// The service that has no signer.
const SERVICE: usize = 1;
/// Periods of its bundle.
const PERIODS: u64 = 4;
/// Time for the first uploads and some tries, in **seconds**.
const LENGTH: u64 = 1800;

/// Holds a ceremony for the service, on real files.
fn ceremony(folder: &Path) -> Bundle {
    let (store, output, now) =
        (Store::at(&folder.join("state"), address(SERVICE)), folder.join("request"), clock::now());
    let (seal, clockwork) = (Seal::Plain, Clockwork::PUBLIC);
    let wish = Wish {
        periods: Some(PERIODS),
        from: None,
        standby: None,
        seal,
        output: &output,
        replace: false,
        clockwork,
        now,
    };
    new(&store, &wish).unwrap();
    let token = Onion::new(b's', SERVICE);
    let bundle = answer(&output, Kind::Main, now, |period, key, expires| {
        token.certify(period, key, UnixTime(u64::from(expires.0 - 54) * 3600))
    });
    import(&store, &sealed(&bundle), None, now).unwrap();
    assert_eq!(Bundles::open(&folder.join("state"), store.onion).problem, None);
    bundle
}

/// How many lines of the log about the service have this word.
fn lines(stage: &Stage, word: &str) -> usize {
    let onion = address(SERVICE).redacted().to_string();
    stage.log().iter().filter(|line| line.contains(word) && line.contains(&onion)).count()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_uploaded_with_a_slots_key_that_is_not_on_disk() {
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE] = Setup { signer: false, lines: "bundles = true\n".to_owned() };
        setups
    });
    stage.pass(60).await;
    assert_eq!(stage.uploads(SERVICE), [], "there is no bundle yet");

    // A file in place of the folder: not even root can write below it.
    let own = stage.folder.path().join("state").join(address(SERVICE).bare().to_string());
    let taken = stage.folder.path().join("taken");
    std::fs::rename(&own, &taken).unwrap();
    std::fs::write(&own, "").unwrap();
    let bundle = ceremony(stage.folder.path());
    stage.pass(LENGTH).await;
    assert!(lines(&stage, "error slot-key ") > 0, "the key could not be written");
    assert!(lines(&stage, "info certificate ") > 0, "the bundle is used");
    assert_eq!(stage.uploads(SERVICE), [], "with keys that are not on disk");
    // Both descriptors were tried, and again.
    assert!(lines(&stage, "error no-upload ") > 2, "{}", lines(&stage, "error no-upload "));
    assert!(stage.alarms().iter().any(|(name, _onion)| name == "state-fault"), "{:?}", stage.alarms());
    assert!(stage.uploads(0).len() >= 2 * 8, "the others go on");

    std::fs::remove_file(&own).unwrap();
    std::fs::rename(&taken, &own).unwrap();
    let (from, tried) = (passed(), lines(&stage, "error no-upload "));
    stage.pass(LENGTH).await;
    let uploads = stage.uploads(SERVICE);
    assert!(uploads.len() >= 2 * 8 && uploads.iter().all(|(at, _hsdir)| *at > from), "{uploads:?}");
    assert_eq!(lines(&stage, "error no-upload "), tried);
    // A restart goes on with the keys of the two slots in use.
    let copy = stage.folder.path().join("copy");
    let state = StateDir::open(&copy).unwrap();
    std::fs::rename(&own, copy.join(own.file_name().unwrap())).unwrap();
    let kept = |slot: &&BundleSlot| {
        let at = TimePeriod { number: slot.period, length: Clockwork::PUBLIC.rule.length };
        state.load(&address(SERVICE), at).unwrap().is_some_and(|period| period.slot == Some(slot.key))
    };
    assert_eq!(bundle.slots.iter().filter(kept).count(), 2);
}
