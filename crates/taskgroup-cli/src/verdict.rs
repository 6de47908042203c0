//! Success or failure, as a type, so that no caller confuses the two senses of a `bool`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
}

impl Verdict {
    pub(crate) fn of_success(succeeded: bool) -> Verdict {
        match succeeded {
            true => Verdict::Succeeded,
            false => Verdict::Failed,
        }
    }

    pub(crate) fn is_failure(self) -> bool {
        self == Verdict::Failed
    }
}
