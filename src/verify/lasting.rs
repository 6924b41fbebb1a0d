//! What an authenticator remembers of answers that took time, and goes on with after a reload.
//!
//! A reload builds every authenticator anew. Were its answers forgotten each time, every reload would send all tokens at once
//! to their issuers, and an issuer that is out just then would take down what a moment ago was known. So a desk goes on where
//! the next conf says the same of it; told by a text that covers every setting that its answers rest on, secrets included.
//!
//! Not here: verdicts. What an answer is worth is judged anew by the rules of the conf in force.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What may be gone on with, by the name of the authenticator.
#[derive(Clone, Default)]
pub struct Lasting {
    before: BTreeMap<Box<str>, Kept>,
    now: BTreeMap<Box<str>, Kept>,
}

#[derive(Clone)]
struct Kept {
    /// As secret as the settings; compared and never shown.
    settings: Arc<str>,
    what: Arc<dyn Any + Send + Sync>,
}

impl Lasting {
    /// For the gate after this one.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self { before: self.now.clone(), now: BTreeMap::new() }
    }

    /// What `name` goes on with: what it had before, if that is of the same kind and was built of the same `settings`, else what
    /// `build` makes.
    ///
    /// # Security
    ///
    /// Two `settings` that are equal share answers. Leave nothing out that an answer rests on: whom we ask, as whom, whose
    /// certificates are believed, and for how long.
    ///
    /// # Errors
    ///
    /// Those of `build`.
    pub fn or_build<T: Any + Send + Sync>(
        &mut self,
        name: &str,
        settings: &str,
        build: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let same = self.before.get(name).filter(|kept| *kept.settings == *settings);
        let what = match same.and_then(|kept| Arc::clone(&kept.what).downcast::<T>().ok()) {
            Some(running) => running,
            None => Arc::new(build()?),
        };
        self.now.insert(name.into(), Kept { settings: settings.into(), what: Arc::clone(&what) as Arc<dyn Any + Send + Sync> });
        Ok(what)
    }
}

impl std::fmt::Debug for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lasting({:?})", self.now.keys())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Lasting;

    #[test]
    fn only_what_is_built_of_the_same_settings_is_gone_on_with() {
        let mut first = Lasting::default();
        let built = first.or_build("a", "one", || Ok(7_u32)).unwrap();
        assert_eq!(*built, 7);
        // Name, settings, whether it goes on, what the row shows.
        let rows = [("a", "one", true, "the same"), ("a", "two", false, "other settings"), ("b", "one", false, "another authenticator")];
        for (name, settings, same, shows) in rows {
            let next = first.successor().or_build(name, settings, || Ok(8_u32)).unwrap();
            assert_eq!(Arc::ptr_eq(&built, &next), same, "{shows}");
        }
        let other_kind = first.successor().or_build("a", "one", || Ok(8_u64)).unwrap();
        assert_eq!(*other_kind, 8, "another scheme of the same name");

        let mut without = first.successor();
        without.or_build("b", "one", || Ok(1_u32)).unwrap();
        let again = without.successor().or_build("a", "one", || Ok(9_u32)).unwrap();
        assert_eq!(*again, 9, "what one conf left out, the next does not find again");
        assert_eq!(first.successor().or_build::<u32>("c", "", || Err("no".to_owned())), Err("no".to_owned()), "a fault is told");
    }
}
