//! Which authenticators a rule demands, as a tree.
//!
//! Only the shape stands here: leaves are positions in the conf's list of authenticators, and how branches are tried is
//! the gate's business. Deliberately absent: negation. "Not authenticated" is nothing one can prove.

/// What must be proven before a rule lets a request pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing; the rule is public.
    None,
    /// This authenticator, by its position in the conf.
    One(usize),
    /// The first branch whose credential is present decides, right or wrong. No branch at all lets nobody pass.
    Any(Box<[Requirement]>),
    /// Every branch; the first names the identity. No branch at all lets nobody pass.
    All(Box<[Requirement]>),
    /// The branch, or no credential at all. A credential that is present and wrong is still refused.
    Optional(Box<Requirement>),
}

impl Requirement {
    /// Every authenticator in the tree, in written order; one that stands there twice comes twice.
    #[must_use]
    pub fn leaves(&self) -> Vec<usize> {
        let mut leaves = Vec::new();
        self.collect(&mut leaves);
        leaves
    }

    /// Whether a request without any credential could pass.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::None | Self::Optional(_) => true,
            Self::One(_) => false,
            Self::Any(branches) => branches.iter().any(Self::is_public),
            // An empty `all` must not be true of everybody.
            Self::All(branches) => !branches.is_empty() && branches.iter().all(Self::is_public),
        }
    }

    /// How many levels the tree has; a leaf has one.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 1,
            Self::Any(branches) | Self::All(branches) => 1 + branches.iter().map(Self::depth).max().unwrap_or(0),
            Self::Optional(branch) => 1 + branch.depth(),
        }
    }

    fn collect(&self, leaves: &mut Vec<usize>) {
        match self {
            Self::None => {}
            Self::One(index) => leaves.push(*index),
            Self::Any(branches) | Self::All(branches) => branches.iter().for_each(|branch| branch.collect(leaves)),
            Self::Optional(branch) => branch.collect(leaves),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Requirement::{self, All, Any, None, One, Optional};

    #[test]
    fn an_empty_list_means_nobody_and_only_optional_or_none_are_public() {
        let cases: [(Requirement, bool, &[usize], usize, &str); 9] = [
            (None, true, &[], 1, "a public rule"),
            (One(3), false, &[3], 1, "one authenticator"),
            (Any([].into()), false, &[], 1, "any of nothing is nobody"),
            (All([].into()), false, &[], 1, "all of nothing is nobody, not everybody"),
            (Any([One(2), One(0)].into()), false, &[2, 0], 2, "written order is kept"),
            (Any([One(2), None].into()), true, &[2], 2, "any with an open branch is open"),
            (All([One(1), Optional(One(2).into())].into()), false, &[1, 2], 3, "one closed branch closes all"),
            (All([Optional(One(1).into()), None].into()), true, &[1], 3, "every branch is open"),
            (Optional(One(4).into()), true, &[4], 2, "optional lets the anonymous pass"),
        ];
        for (tree, public, leaves, depth, shows) in cases {
            assert_eq!(tree.is_public(), public, "{shows}");
            assert_eq!(tree.leaves(), leaves, "{shows}");
            assert_eq!(tree.depth(), depth, "{shows}");
        }
    }
}
