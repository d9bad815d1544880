//! The lines of every torrc of the private network, and the only place where a tor option of it is set.

use anyhow::Result;

use super::Pace;
use super::node::Node;
use super::ports::free_port;

/// Seconds for votes, and again for signatures, before a consensus becomes valid; tor allows no less.
pub(super) const VOTE_DELAY: u64 = 2;

/// Ports of one relay.
#[derive(Clone, Copy)]
pub(super) struct RelayPorts {
    /// `ORPort`.
    pub(super) or: u16,
    /// `DirPort`, used by authorities only.
    pub(super) dir: u16,
}

impl RelayPorts {
    /// Two free ports.
    pub(super) fn choose() -> Result<Self> {
        Ok(Self { or: free_port()?, dir: free_port()? })
    }
}

/// How authorities vote.
#[derive(Clone, Copy)]
pub(super) struct Voting {
    /// Seconds between votes.
    pub(super) interval: u64,
    /// Seconds by which every vote comes after a multiple of the interval: the first one then need not be waited for.
    pub(super) offset: u64,
}

/// Enough for `tor --list-fingerprint`, before the `DirAuthority` lines are known.
pub(super) fn keys_only(name: &str, ports: RelayPorts) -> String {
    format!(
        "Nickname {name}\nAddress 127.0.0.1\nORPort 127.0.0.1:{} IPv4Only\nSocksPort 0\nExitRelay 0\n",
        ports.or
    )
}

/// One `DirAuthority` line per authority.
pub(super) fn authority_lines(
    fingerprints: &[String],
    voting_keys: &[String],
    ports: &[RelayPorts],
) -> String {
    let mut lines = String::new();
    for (index, key) in voting_keys.iter().enumerate() {
        let (port, fingerprint) = (ports[index], &fingerprints[index]);
        lines.push_str(&format!(
            "DirAuthority auth{index} orport={} no-v2 v3ident={key} 127.0.0.1:{} {fingerprint}\n",
            port.or, port.dir
        ));
    }
    lines
}

/// A relay, authority or not. It makes no differences between hourly consensuses: where hours pass in a minute, those for a
/// whole day, in four compressions, would keep every processor busy.
pub(super) fn relay(name: &str, ports: RelayPorts, authority_lines: &str) -> String {
    format!(
        "TestingTorNetwork 1\n{authority_lines}Nickname {name}\nContactInfo nobody@example.invalid\n\
         Address 127.0.0.1\nORPort 127.0.0.1:{} IPv4Only\nAssumeReachable 1\nSocksPort 0\n\
         ExitRelay 0\nExitPolicy reject *:*\nHiddenServiceStatistics 0\nDirReqStatistics 0\n\
         TestingLinkCertLifetime 60 days\nTestingAuthKeyLifetime 60 days\nMaxConsensusAgeForDiffs 59 minutes\n",
        ports.or
    )
}

/// What an authority has on top of [`relay`].
pub(super) fn authority(node: &Node, ports: RelayPorts, voting: Voting) -> String {
    let Voting { interval, offset } = voting;
    format!(
        "AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nDirPort 127.0.0.1:{} IPv4Only\n\
         TestingV3AuthInitialVotingInterval {interval}\nTestingV3AuthInitialVoteDelay {VOTE_DELAY}\n\
         TestingV3AuthInitialDistDelay {VOTE_DELAY}\nTestingV3AuthVotingStartOffset {offset}\nV3AuthVotingInterval {interval}\n\
         V3AuthVoteDelay {VOTE_DELAY}\nV3AuthDistDelay {VOTE_DELAY}\nV3AuthNIntervalsValid 3\n\
         TestingDirAuthVoteExit *\nTestingDirAuthVoteHSDir *\nTestingDirAuthVoteGuard *\n\
         TestingMinExitFlagThreshold 0\nAuthDirMaxServersPerAddr 0\nMinUptimeHidServDirectoryV2 0\n\
         AuthDirVoteStableGuaranteeMinUptime 0 seconds\nAuthDirVoteStableGuaranteeMTBF 0 seconds\n\
         AuthDirFastGuarantee 0\nV3BandwidthsFile {}/bandwidths\n",
        ports.dir,
        node.dir().display()
    )
}

/// Every tor that is no relay. With real periods it gets no test option at all, only leave to use private addresses.
pub(super) fn outsider(pace: Pace, authority_lines: &str) -> String {
    let mode = match pace {
        Pace::Short(_) => "TestingTorNetwork 1\nAssumeReachable 1\n",
        Pace::Day => {
            "DirAllowPrivateAddresses 1\nEnforceDistinctSubnets 0\nExtendAllowPrivateAddresses 1\n\
             ClientRejectInternalAddresses 0\n\
             ClientBootstrapConsensusAuthorityDownloadInitialDelay 0\n\
             ClientBootstrapConsensusFallbackDownloadInitialDelay 0\n\
             ClientBootstrapConsensusAuthorityOnlyDownloadInitialDelay 0\n"
        }
    };
    format!("{mode}{authority_lines}ClientOnly 1\n")
}
