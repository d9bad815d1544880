//! Times and lengths, each with its unit in the type; the only place where they are converted.

use core::fmt;

/// A point in time: whole **seconds** since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The time `seconds` later; stays at the largest value instead of wrapping.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The time `seconds` earlier; stays at 0 instead of wrapping.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// **Seconds** from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A length in **minutes**.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minutes(pub u32);

impl Minutes {
    /// The same length in **seconds**.
    #[must_use]
    pub fn seconds(self) -> u64 {
        u64::from(self.0).saturating_mul(60)
    }
}

/// Length of a time period in **minutes**, never 0.
///
/// Spec: rend-spec-v3, 2.2.1 (`hsdir_interval`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeriodLength(u32);

impl PeriodLength {
    /// The public network's 1440 minutes.
    pub const DAY: Self = Self(1440);
    /// The longest length that a consensus may ask for: 14400 minutes.
    pub const MAX: Self = Self(14_400);

    /// A length of 1 to 14400 minutes, or `None`.
    #[must_use]
    pub const fn new(minutes: u32) -> Option<Self> {
        if minutes == 0 || minutes > Self::MAX.0 { None } else { Some(Self(minutes)) }
    }

    /// The number of **minutes**.
    #[must_use]
    pub const fn minutes(self) -> u32 {
        self.0
    }

    /// The same length in **seconds**.
    #[must_use]
    pub fn seconds(self) -> u64 {
        u64::from(self.0).saturating_mul(60)
    }
}

/// The number of a time period, counted from the epoch plus the rotation offset.
///
/// Spec: rend-spec-v3, 2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeriodNumber(pub u64);

impl PeriodNumber {
    /// The period after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The period before this one; period 0 has itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many periods lie between the two, whichever is later.
    #[must_use]
    pub const fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl fmt::Display for PeriodNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a certificate ends: whole **hours** since the epoch, as certificates carry it.
///
/// Spec: cert-spec, 2.1 (`EXPIRATION_DATE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpirationHours(pub u32);

/// Seconds in one hour.
const HOUR: u64 = 3600;
/// Life of every certificate in a descriptor, in hours (C tor's `HS_DESC_CERT_LIFETIME`).
const CERT_LIFETIME_HOURS: u64 = 54;

impl ExpirationHours {
    /// What C tor writes into a type-08 certificate made at `now`: `ceil((now + 54 h) / 1 h)`.
    #[must_use]
    pub fn of_desc_signing_cert(now: UnixTime) -> Self {
        Self::saturate(now.0.div_ceil(HOUR).saturating_add(CERT_LIFETIME_HOURS))
    }

    /// What C tor writes into the type-09 and type-0B certificates made at `now`: `floor(now / 1 h) + 54`.
    #[must_use]
    pub fn of_intro_certs(now: UnixTime) -> Self {
        Self::saturate((now.0 / HOUR).saturating_add(CERT_LIFETIME_HOURS))
    }

    /// The last moment at which the certificate is still good (C tor: expired means `now > hours * 3600`).
    #[must_use]
    pub fn time(self) -> UnixTime {
        UnixTime(u64::from(self.0).saturating_mul(HOUR))
    }

    /// Whether a certificate with this expiration is no longer good at `now`.
    #[must_use]
    pub fn is_past(self, now: UnixTime) -> bool {
        now > self.time()
    }

    /// The hours as a field of 32 bits; a time after the year 490,000 becomes the largest value.
    fn saturate(hours: u64) -> Self {
        Self(u32::try_from(hours).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn desc_signing_expiration_rounds_up_and_intro_rounds_down() {
        let on_the_hour = UnixTime(480_000 * HOUR);
        assert_eq!(ExpirationHours::of_desc_signing_cert(on_the_hour), ExpirationHours(480_054));
        assert_eq!(ExpirationHours::of_desc_signing_cert(on_the_hour.plus(1)), ExpirationHours(480_055));
        assert_eq!(ExpirationHours::of_intro_certs(on_the_hour.plus(3599)), ExpirationHours(480_054));
    }

    #[test]
    fn expiration_is_past_only_after_its_last_second() {
        let end = ExpirationHours(10);
        assert!(!end.is_past(end.time()));
        assert!(end.is_past(end.time().plus(1)));
    }

    #[test]
    fn period_length_refuses_zero_and_more_than_ten_days() {
        assert_eq!(PeriodLength::new(0), None);
        assert_eq!(PeriodLength::new(14_401), None);
        assert_eq!(PeriodLength::new(14_400), Some(PeriodLength::MAX));
    }

    #[test]
    fn periods_are_as_far_apart_either_way_and_shown_as_numbers() {
        let (a, b) = (PeriodNumber(20_000), PeriodNumber(20_007));
        assert_eq!((a.distance(b), b.distance(a), a.distance(a)), (7, 7, 0));
        assert_eq!(std::format!("{b}"), "20007");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixTime(u64::MAX).plus(1), UnixTime(u64::MAX));
        assert_eq!(UnixTime(1).minus(2), UnixTime(0));
        assert_eq!(UnixTime(1).since(UnixTime(5)), 0);
        assert_eq!(UnixTime(9).since(UnixTime(5)), 4);
        assert_eq!(PeriodNumber(0).previous(), PeriodNumber(0));
        assert_eq!(ExpirationHours::of_intro_certs(UnixTime(u64::MAX)), ExpirationHours(u32::MAX));
    }
}
