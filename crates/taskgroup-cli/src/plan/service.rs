//! Services: commands that run until nothing needs them any longer.

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
    /// The pause before the first restart. It doubles with each one and is randomised.
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
        if host.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(expected());
        }
        // `[::1]` has colons, too.
        let end = host.rfind(']').map_or(host, |end| &host[end..]);
        let host = match end.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
            Some(_) => return Err(expected()),
            None => format!("{host}:80"),
        };
        Ok(Url {
            host,
            path: path.to_owned(),
        })
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
