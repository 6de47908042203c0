//! The name of a task.
//!
//! - **NA1** `start` is null, or `start` and `len` are those of a `str`. Without `OWNED` that is a
//!   `&'static str`. With `OWNED` it was a `Box<str>`, which belongs to this name alone, is never
//!   changed, and is freed by the drop of the name.

#![allow(unsafe_code)]

use std::borrow::Cow;

/// A name of a task, or none, in twelve bytes and with an allocation only for a name that was made:
/// names are to cost nothing.
#[repr(C, packed(4))]
pub(crate) struct Name {
    /// Null: none.
    start: *const u8,
    /// With [`OWNED`](Self::OWNED) if `start` leads to a `Box<str>`.
    len: u32,
}

// SAFETY: NA1: it is an `Option<Cow<'static, str>>` by other means, and that is `Send`.
unsafe impl Send for Name {}
// SAFETY: NA1: as above, and that is `Sync`. Nothing is changed through a shared reference.
unsafe impl Sync for Name {}

impl Name {
    const OWNED: u32 = 1 << 31;

    #[inline]
    pub(crate) fn new(name: Option<Cow<'static, str>>) -> Self {
        let len = |text: &str| match u32::try_from(text.len()) {
            Ok(len) if len < Self::OWNED => len,
            _ => panic!("the name of a task is shorter than two gigabytes"),
        };
        match name {
            None => Self {
                start: std::ptr::null(),
                len: 0,
            },
            Some(Cow::Borrowed(text)) => Self {
                start: text.as_ptr(),
                len: len(text),
            },
            Some(Cow::Owned(text)) => {
                let len = len(&text) | Self::OWNED;
                let start = Box::into_raw(text.into_boxed_str())
                    .cast::<u8>()
                    .cast_const();
                Self { start, len }
            }
        }
    }

    pub(crate) fn get(&self) -> Option<Cow<'static, str>> {
        let (start, len) = (self.start, self.len);
        if start.is_null() {
            return None;
        }
        let bytes = std::ptr::slice_from_raw_parts(start, (len & !Self::OWNED) as usize);
        // SAFETY: NA1: these are the bytes of a `str`. It is static, or else lives until our drop,
        // and then no reference to it leaves this function.
        let text: &'static str = unsafe { &*(bytes as *const str) };
        Some(if len & Self::OWNED == 0 {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.to_owned())
        })
    }
}

impl Drop for Name {
    #[inline]
    fn drop(&mut self) {
        let (start, len) = (self.start, self.len);
        if len & Self::OWNED != 0 {
            let bytes =
                std::ptr::slice_from_raw_parts_mut(start.cast_mut(), (len & !Self::OWNED) as usize);
            // SAFETY: NA1: it was a `Box<str>` and is ours. A box of its bytes is the same
            // allocation.
            drop(unsafe { Box::from_raw(bytes) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A name that the program has anyway is never copied, one that was made is kept.
    #[test]
    fn a_name_comes_out_as_it_went_in() {
        let text: &'static str = "fetch";
        let name = Name::new(Some(Cow::Borrowed(text)));
        let got = name.get();
        assert!(matches!(&got, Some(Cow::Borrowed(same)) if std::ptr::eq(*same, text)));
        drop(name);
        assert_eq!(got.as_deref(), Some("fetch"));

        let name = Name::new(Some(Cow::Owned("fetch 7".to_owned())));
        let got = name.get();
        assert!(matches!(&got, Some(Cow::Owned(_))));
        drop(name);
        assert_eq!(got.as_deref(), Some("fetch 7"));

        assert!(Name::new(None).get().is_none());
        assert_eq!(
            Name::new(Some(Cow::Borrowed(""))).get().as_deref(),
            Some("")
        );
    }
}
