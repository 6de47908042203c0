//! Services: commands that run until nothing needs them any longer.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use clap::ValueEnum;

use super::Work;
use crate::verdict::Verdict;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) ready: Ready,
    /// A service that is not ready after this time has failed.
    pub(crate) ready_timeout: Duration,
}

/// When those that wait for a service may start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ready {
    /// As soon as it has been started.
    Started,
    /// This command has succeeded. It is tried again and again.
    Command(Box<Work>),
    /// A connection to this address is accepted.
    Port(String),
    Http(Url),
    /// A line of its output contains this text.
    Line(String),
}

/// An address that answers with success, `http` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// With the port.
    pub(crate) host: String,
    pub(crate) path: String,
}

/// Whether a command that has ended is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) on: RestartOn,
    /// The pause before the first restart. It doubles with each one, and a random time of up to the
    /// same length is added.
    pub(crate) backoff: Duration,
    pub(crate) limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestartOn {
    /// Run it again after a failure
    Failure,
    /// Run it again whenever it has ended
    Always,
}

/// The check, as a report names it.
impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ready::Started => f.write_str("its start"),
            Ready::Command(work) => write!(f, "the command `{}`", work.command.shown()),
            Ready::Port(address) => write!(f, "the port {address}"),
            Ready::Http(url) => write!(f, "http://{}{}", url.host, url.path),
            Ready::Line(text) => write!(f, "a line with {text:?}"),
        }
    }
}

impl Service {
    pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(60);
}

impl Restart {
    /// After this many attempts, of which the last one ended so.
    pub(crate) fn again(&self, attempts: u32, last: Verdict) -> bool {
        (self.on == RestartOn::Always || last.is_failure())
            && self.limit.is_none_or(|limit| attempts <= limit)
    }
}

impl Url {
    /// The error says what was expected.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let expected = || "a URL like \"http://localhost:8080/health\"".to_owned();
        let rest =
            text.strip_prefix("http://")
                .ok_or_else(|| match text.starts_with("https:") {
                    true => format!(
                        "{}, without TLS (a `command` like `curl -fsk` can do that)",
                        expected()
                    ),
                    false => expected(),
                })?;
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(expected());
        }
        // `[::1]` has colons, too.
        let name = host.rfind(']').map_or(0, |end| end + 1);
        let (name, port) = match host[name..].find(':') {
            Some(colon) => (&host[..name + colon], &host[name + colon + 1..]),
            None => (host, "80"),
        };
        if !is_host(name) || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(expected());
        }
        Ok(Url {
            host: format!("{name}:{port}"),
            path: path.to_owned(),
        })
    }
}

/// Whether this can be the name or the address of a host. An address with colons is in brackets in
/// a URL.
pub(crate) fn is_host(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner.unwrap_or(text) {
        address if address.contains(':') => address.parse::<Ipv6Addr>().is_ok(),
        name => {
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || "[]/?#@".contains(c);
            inner.is_none() && !name.is_empty() && !name.contains(is_odd)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, path) in [
            ("http://a", "a:80", "/"),
            ("http://a:8080/x?y=/", "a:8080", "/x?y=/"),
            ("http://[::1]/x", "[::1]:80", "/x"),
            ("http://[::1]:99/", "[::1]:99", "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((&*url.host, &*url.path), (host, path), "{text}");
        }
        for text in [
            "",
            "a:80",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a:x/",
            "http://a:0/",
            "http://a:1:2/",
            "http://:80/",
            "http://[::1",
            "http://[::1/",
            "http://]:80/",
            "http://[a]/",
            "http://::1/x",
            "http://[::1]x/",
            "http://user@a/",
            "http://a?x=1",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse("https://a").unwrap_err().contains("without TLS"));
    }

    #[test]
    fn a_restart_depends_on_the_end_and_on_the_number() {
        let restart = |on, limit| Restart {
            on,
            backoff: Duration::ZERO,
            limit,
        };
        let on_failure = restart(RestartOn::Failure, Some(2));
        assert!(on_failure.again(2, Verdict::Failed) && !on_failure.again(3, Verdict::Failed));
        assert!(!on_failure.again(1, Verdict::Succeeded));
        let always = restart(RestartOn::Always, None);
        assert!(always.again(1000, Verdict::Succeeded) && always.again(1, Verdict::Failed));
    }
}
