//! Which points of the descriptor before are still relied on, and each sign that ends it.

use super::*;

/// Seconds of an hour, and of a day.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// The first moment: the shared random value of period 1 is known, and a full hour begins.
const BEGIN: UnixTime = UnixTime(20_000 * DAY);

/// A point of time in so many minutes of the story.
fn at(hours: u64, minutes: u64) -> UnixTime {
    BEGIN.plus(hours * HOUR + minutes * 60)
}

/// A descriptor of a period (1, 2, ...), uploaded at a time, with points of these numbers.
fn descriptor(number: u64, uploaded: UnixTime, keys: &[u8], signer: u8) -> Decoded {
    let into = uploaded.since(run_start(number));
    Decoded {
        signing_key: DescSigningKey::from_bytes(*point(200 + signer, 1).auth_key().as_bytes()).unwrap(),
        cert_expires: ExpirationHours::of_desc_signing_cert(uploaded),
        intro_points: keys.iter().map(|key| point(*key, *key)).collect(),
        ..decoded(counter(into), 1)
    }
}

/// When the shared random value of a period is known.
fn run_start(number: u64) -> UnixTime {
    BEGIN.plus((number - 1) * DAY)
}

/// Looks of the publisher at one backend.
struct Story(Backend);

impl Story {
    /// Two looks at the descriptor of period 1: at 20 hours point 4 has come in the place of point 1.
    fn new() -> Self {
        let mut story = Self(backend());
        story.see(at(17, 50), 1, at(17, 0), &[1, 2, 3], 0);
        story.see(at(19, 50), 1, at(19, 0), &[1, 2, 3], 0);
        story.see(at(20, 0), 1, at(19, 55), &[2, 3, 4], 0);
        story
    }

    /// The same, looked at once more shortly before tor fetches the next period.
    fn to_noon() -> Self {
        let mut story = Self::new();
        story.see(at(36, 10), 1, at(35, 30), &[2, 3, 4], 0);
        story
    }

    fn see(&mut self, now: UnixTime, number: u64, uploaded: UnixTime, keys: &[u8], signer: u8) {
        let decoded = descriptor(number, uploaded, keys, signer);
        self.0.observe(now, period(number), run_start(number), decoded);
    }

    /// The points that are relied on although they are not shown, with the minutes for which they are.
    fn carried(&self, now: UnixTime) -> Vec<(u8, u64)> {
        let number =
            |key: &IntroAuthKey| (0..=99).find(|key_| point(*key_, *key_).auth_key() == key).unwrap();
        let carried = self.0.ages().carried(now);
        carried.map(|(point, _born, until)| (number(point.auth_key()), until.since(now) / 60)).collect()
    }
}

#[test]
fn points_are_relied_on_until_they_may_be_over() {
    let mut story = Story::to_noon();
    assert!(story.carried(at(36, 10)).is_empty(), "nothing has gone yet");
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    // Points 2 and 3 may be as old as the descriptor. Point 4 was not there at 19:50: it lives until 37:50 at least.
    assert_eq!(story.carried(at(36, 20)), [(4, 75)]);
    assert_eq!(story.carried(at(37, 34)), [(4, 1)]);
    assert!(story.carried(at(37, 35)).is_empty());
}

#[test]
fn a_point_is_as_old_as_the_last_look_without_it_and_its_descriptor_at_most() {
    let story = Story::new();
    let born = |key| story.0.ages().born(point(key, key).auth_key());
    assert_eq!([2, 4, 1].map(born), [Some(BEGIN), Some(at(19, 50)), None]);
}

#[test]
fn a_new_signing_key_or_no_point_of_before_means_a_restart() {
    for (keys, signer) in [(&[11, 12, 13], 1), (&[21, 22, 23], 0)] {
        let mut story = Story::to_noon();
        story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
        assert!(!story.carried(at(36, 20)).is_empty());
        story.see(at(36, 30), 2, at(36, 29), keys, signer);
        assert!(story.carried(at(36, 30)).is_empty(), "{keys:?} {signer}");
    }
    let mut story = Story::to_noon();
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    story.see(at(36, 30), 2, at(36, 29), &[11, 12, 13], 0);
    assert!(!story.carried(at(36, 30)).is_empty(), "an upload alone means nothing");
}

#[test]
fn an_upload_since_the_last_look_may_mean_a_restart() {
    // The last look was at 36:10; at 36 hours a counter can be wrong by six minutes.
    for (uploaded, relied) in [(at(36, 11), false), (at(36, 5), false), (at(36, 2), true), (at(35, 0), true)]
    {
        let mut story = Story::to_noon();
        story.see(at(36, 20), 2, uploaded, &[11, 12, 13], 0);
        assert_eq!(!story.carried(at(36, 20)).is_empty(), relied, "{uploaded:?}");
    }
    // Its certificate is of an hour that was over at the last look: whatever the counter tells, it is older.
    let mut story = Story::to_noon();
    let mut decoded = descriptor(2, at(36, 8), &[11, 12, 13], 0);
    decoded.cert_expires = ExpirationHours::of_desc_signing_cert(at(36, 0));
    story.0.observe(at(36, 20), period(2), run_start(2), decoded);
    assert!(!story.carried(at(36, 20)).is_empty());
}

#[test]
fn a_counter_that_tells_no_time_or_a_wrong_one_is_not_believed() {
    let mut story = Story::to_noon();
    let mut decoded = descriptor(2, at(36, 15), &[11, 12, 13], 0);
    decoded.revision = 7;
    story.0.observe(at(36, 20), period(2), run_start(2), decoded);
    assert!(story.carried(at(36, 20)).is_empty());
    // A clock that is an hour behind: what was uploaded between two looks tells of a time before them.
    let mut story = Story::to_noon();
    story.see(at(36, 15), 1, at(35, 40), &[2, 3, 4], 0);
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    assert!(story.carried(at(36, 20)).is_empty());
}

#[test]
fn a_point_that_goes_before_its_time_means_that_others_may() {
    let mut story = Story::to_noon();
    story.see(at(36, 12), 1, at(36, 11), &[2, 3, 5], 0);
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    assert!(story.carried(at(36, 20)).is_empty(), "point 4 went after 17 hours");
    let mut story = Story::to_noon();
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    story.see(at(36, 30), 2, at(36, 29), &[11, 12, 14], 0);
    assert!(story.carried(at(36, 30)).is_empty(), "point 13 went after 13 hours");
}

#[test]
fn a_backend_that_fails_probes_has_nothing_left_afterwards() {
    let mut story = Story::to_noon();
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    assert!(!story.carried(at(36, 21)).is_empty());
    story.0.probed(at(36, 22), false);
    story.0.probed(at(36, 23), true);
    assert!(story.carried(at(36, 23)).is_empty());
}

#[test]
fn nothing_outlives_the_shared_random_value_or_a_period_that_was_missed() {
    let mut story = Story::new();
    story.see(at(35, 20), 1, at(35, 10), &[2, 3, 4], 0);
    story.see(at(35, 30), 1, at(35, 25), &[31, 32, 4], 0);
    story.see(at(36, 10), 1, at(36, 0), &[31, 32, 4], 0);
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    let end = at(48, 0).since(at(36, 20)) / 60 - 15;
    assert_eq!(story.carried(at(36, 20)), [(31, end), (32, end), (4, 75)], "closed when the value changes");
    let mut story = Story::to_noon();
    story.see(at(60, 20), 3, at(59, 0), &[11, 12, 13], 0);
    assert!(story.carried(at(60, 20)).is_empty());
}

#[test]
fn nothing_is_relied_on_before_a_points_life_was_watched() {
    let mut story = Story(backend());
    story.see(at(19, 50), 1, at(19, 0), &[1, 2, 3], 0);
    story.see(at(20, 0), 1, at(19, 55), &[2, 3, 4], 0);
    story.see(at(36, 10), 1, at(35, 30), &[2, 3, 4], 0);
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    assert!(story.carried(at(36, 20)).is_empty());
}

#[test]
fn where_points_live_for_seconds_nothing_is_carried() {
    let mut story = Story::new();
    story.0.set_lives(Lives::TESTING);
    story.see(at(36, 10), 1, at(35, 30), &[2, 3, 4], 0);
    story.see(at(36, 20), 2, at(35, 0), &[11, 12, 13], 0);
    assert!(story.carried(at(36, 20)).is_empty());
}
