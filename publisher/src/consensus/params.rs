//! Consensus parameters that the publisher obeys, with tor's defaults and ranges.

/// The parameters of one consensus.
///
/// Spec: param-spec; rend-spec-v3, 2.2.1 and 2.2.3; C tor, `networkstatus_get_param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// `hsdir_interval`: period length in **minutes**, 5 to 14400, 1440 by default.
    pub hsdir_interval: u32,
    /// `hsdir_n_replicas`: 1 to 16, 2 by default.
    pub n_replicas: u8,
    /// `hsdir_spread_store`: 1 to 128, 4 by default.
    pub spread_store: u8,
    /// `hsdir_spread_fetch`: 1 to 128, 3 by default.
    pub spread_fetch: u8,
    /// `cc_alg`: congestion control algorithm, 0 (off) to 3, 2 by default.
    pub cc_alg: u8,
    /// `cc_sendme_inc`: cells between two acknowledgements, 1 to 254, 31 by default.
    pub cc_sendme_inc: u8,
    /// `HSV3MaxDescriptorSize`: a descriptor of this length or more is refused, 50000 by default.
    pub max_descriptor_size: u32,
    /// `hs_intro_min_lifetime`: an introduction point lives so many **seconds** at least, 64800 by default.
    pub intro_min_lifetime: u32,
    /// `hs_intro_max_lifetime`: and at most, 86400 by default.
    pub intro_max_lifetime: u32,
}

/// How long C tor keeps an introduction point, in **seconds**: a time between these, drawn for each point.
///
/// Spec: C tor, `get_intro_point_min_lifetime` and `get_intro_point_max_lifetime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

impl Lives {
    /// What C tor takes where the consensus does not say.
    ///
    /// Spec: C tor, `INTRO_POINT_LIFETIME_MIN_SECONDS` and `INTRO_POINT_LIFETIME_MAX_SECONDS`.
    pub const PUBLIC: Self = Self { least: 18 * 3600, most: 24 * 3600 };
    /// What C tor takes with its option `TestingTorNetwork`.
    ///
    /// Spec: C tor, `MIN_INTRO_POINT_LIFETIME_TESTING` and `MAX_INTRO_POINT_LIFETIME_TESTING`.
    pub const TESTING: Self = Self { least: 10, most: 30 };

    /// So long before its end a point is no longer relied on: a quarter of an hour on the public network.
    #[must_use]
    pub const fn margin(self) -> u64 {
        self.least.div_ceil(72)
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            hsdir_interval: 1440,
            n_replicas: 2,
            spread_store: 4,
            spread_fetch: 3,
            cc_alg: 2,
            cc_sendme_inc: 31,
            max_descriptor_size: 50_000,
            intro_min_lifetime: 64_800,
            intro_max_lifetime: 86_400,
        }
    }
}

/// A number clamped into the range of an octet-sized parameter.
fn octet(value: i64, low: u8, high: u8) -> u8 {
    u8::try_from(value.clamp(i64::from(low), i64::from(high))).unwrap_or(low)
}

/// A number clamped into a range.
fn word(value: i64, low: u32, high: u32) -> u32 {
    u32::try_from(value.clamp(i64::from(low), i64::from(high))).unwrap_or(low)
}

impl Params {
    /// Reads the arguments of the `params` line; values out of range are clamped as tor does, unknown names ignored.
    ///
    /// `None` if an argument is not `NAME=NUMBER`.
    #[must_use]
    pub fn parse(arguments: &str) -> Option<Self> {
        let mut params = Self::default();
        for argument in arguments.split([' ', '\t']).filter(|argument| !argument.is_empty()) {
            let (name, value) = argument.split_once('=')?;
            params.set(name, i64::from(value.parse::<i32>().ok()?));
        }
        Some(params)
    }

    /// How long introduction points live in this network; `testing` is tor's option `TestingTorNetwork`.
    #[must_use]
    pub fn lives(&self, testing: bool) -> Lives {
        let (least, most) = (self.intro_min_lifetime, self.intro_max_lifetime);
        if testing {
            Lives::TESTING
        } else {
            Lives { least: u64::from(least), most: u64::from(most.max(least)) }
        }
    }

    /// Sets one parameter.
    fn set(&mut self, name: &str, value: i64) {
        match name {
            "hsdir_interval" => self.hsdir_interval = word(value, 5, 14_400),
            "hsdir_n_replicas" => self.n_replicas = octet(value, 1, 16),
            "hsdir_spread_store" => self.spread_store = octet(value, 1, 128),
            "hsdir_spread_fetch" => self.spread_fetch = octet(value, 1, 128),
            "cc_alg" => self.cc_alg = octet(value, 0, 3),
            "cc_sendme_inc" => self.cc_sendme_inc = octet(value, 1, 254),
            "HSV3MaxDescriptorSize" => self.max_descriptor_size = word(value, 1, i32::MAX.unsigned_abs()),
            "hs_intro_min_lifetime" => self.intro_min_lifetime = word(value, 0, i32::MAX.unsigned_abs()),
            "hs_intro_max_lifetime" => self.intro_max_lifetime = word(value, 0, i32::MAX.unsigned_abs()),
            _unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_clamped_and_the_rest_keeps_its_default() {
        let params = Params::parse("a=-5 cc_sendme_inc=32 hsdir_n_replicas=99 hsdir_spread_store=0").unwrap();
        let wanted = Params { cc_sendme_inc: 32, n_replicas: 16, spread_store: 1, ..Params::default() };
        assert_eq!(params, wanted);
        assert_eq!(Params::parse("hsdir_interval=4").unwrap().hsdir_interval, 5);
        let lives = Params::parse("hs_intro_min_lifetime=360 hs_intro_max_lifetime=-1").unwrap();
        assert_eq!((lives.intro_min_lifetime, lives.intro_max_lifetime), (360, 0));
        assert_eq!(lives.lives(false), Lives { least: 360, most: 360 });
        assert_eq!(
            (Params::default().lives(false), Params::default().lives(true)),
            (Lives::PUBLIC, Lives::TESTING)
        );
        assert_eq!(Params::parse(""), Some(Params::default()));
    }

    #[test]
    fn arguments_that_are_not_pairs_are_refused() {
        for bad in ["a", "a=", "a=1=2", "a=99999999999", "a=x"] {
            assert_eq!(Params::parse(bad), None, "{bad}");
        }
    }
}
