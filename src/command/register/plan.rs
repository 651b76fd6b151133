//! What is to be done in one profile.

use std::fs;
use std::path::Path;

use super::{Kind, Module};

/// The name under which the module stands in a profile.
const NAME: &str = "JPKI";

/// The changes to one profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Modules of this project to take out.
    pub(crate) remove: Vec<Module>,
    /// The module to put in.
    pub(crate) add: Option<Module>,
    /// The module that is there already, and right.
    pub(crate) kept: Option<Module>,
    /// OpenSC's modules, to take out if the person says so.
    pub(crate) opensc: Vec<Module>,
}

impl Plan {
    /// Whether anything is to be changed.
    pub(crate) fn changes(&self, removes_opensc: bool) -> bool {
        !self.remove.is_empty() || self.add.is_some() || (removes_opensc && !self.opensc.is_empty())
    }
}

/// One module of this project is to stand in the profile, and it is to be `library`.
pub(super) fn plan_to_register(found: &[Module], library: &Path) -> Plan {
    let is_right = |module: &&Module| module.kind() == Kind::Own && same_file(&module.library, library);
    let kept = found.iter().find(is_right).cloned();
    let remove: Vec<_> = found
        .iter()
        .filter(|&module| module.kind() == Kind::Own && Some(module) != kept.as_ref())
        .cloned()
        .collect();
    let stays = |module: &&Module| !remove.contains(module);
    let add = kept.is_none().then(|| {
        let name = free_name(&found.iter().filter(stays).collect::<Vec<_>>());
        Module { name, library: library.to_owned() }
    });
    let opensc = found.iter().filter(|module| module.kind() == Kind::OpenSc).cloned().collect();
    Plan { remove, add, kept, opensc }
}

/// No module of this project is to stand in the profile.
pub(super) fn plan_to_unregister(found: &[Module]) -> Plan {
    let remove = found.iter().filter(|module| module.kind() == Kind::Own).cloned().collect();
    Plan { remove, ..Plan::default() }
}

/// Whether two paths lead to one file. The module by its bare name is not taken for one of them:
/// where the loader finds that depends on the program.
fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || one.is_absolute()
            && matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// NSS takes each name once. A module of another project may have ours.
fn free_name(others: &[&Module]) -> String {
    let names = std::iter::once(NAME.to_owned()).chain((2..).map(|number| format!("{NAME} {number}")));
    let is_free = |name: &String| !others.iter().any(|module| module.name.eq_ignore_ascii_case(name));
    let mut names = names;
    names.find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENSC: (&str, &str) = ("OpenSC", "/usr/lib/onepin-opensc-pkcs11.so");
    const OTHER: (&str, &str) = ("Other", "/usr/lib/other.so");
    const RIGHT: (&str, &str) = ("JPKI", "/usr/lib/pkcs11/jpki-pkcs11-auth.so");
    const BOTH: (&str, &str) = ("Card", "/usr/lib/pkcs11/jpki-pkcs11.so");
    const OLD: (&str, &str) = ("JPKI", "/usr/local/lib/pkcs11/jpki-pkcs11-auth.so");
    const OTHERS_NAME: (&str, &str) = ("jpki", "/usr/lib/other.so");

    fn modules(of: &[(&str, &str)]) -> Vec<Module> {
        of.iter()
            .map(|(name, library)| Module { name: (*name).to_owned(), library: library.into() })
            .collect()
    }

    fn register(found: &[(&str, &str)]) -> Plan {
        plan_to_register(&modules(found), Path::new(RIGHT.1))
    }

    #[test]
    fn the_right_module_is_put_in_once() {
        assert_eq!(register(&[OTHER]), Plan { add: modules(&[RIGHT]).pop(), ..Plan::default() });
        assert_eq!(register(&[OTHER, RIGHT]), Plan { kept: modules(&[RIGHT]).pop(), ..Plan::default() });
        assert!(!register(&[OTHER, RIGHT]).changes(true));
    }

    #[test]
    fn other_modules_of_this_project_are_replaced() {
        for (found, removed) in [(vec![OLD], vec![OLD]), (vec![BOTH, OTHER, OLD], vec![BOTH, OLD])] {
            let expected =
                Plan { remove: modules(&removed), add: modules(&[RIGHT]).pop(), ..Plan::default() };
            assert_eq!(register(&found), expected);
        }
        let expected = Plan { remove: modules(&[BOTH]), kept: modules(&[RIGHT]).pop(), ..Plan::default() };
        assert_eq!(register(&[RIGHT, BOTH]), expected);
    }

    #[test]
    fn a_name_that_another_module_has_is_left_to_it() {
        let names = |found: &[(&str, &str)]| register(found).add.map(|module| module.name);
        assert_eq!(names(&[OTHERS_NAME]), Some("JPKI 2".to_owned()));
        assert_eq!(names(&[OTHERS_NAME, ("JPKI 2", "/x.so")]), Some("JPKI 3".to_owned()));
        assert_eq!(names(&[OLD]), Some("JPKI".to_owned()));
    }

    #[test]
    fn opensc_is_noted_and_changes_nothing_unless_the_person_says_so() {
        let plan = register(&[OPENSC, RIGHT]);
        assert_eq!(plan.opensc, modules(&[OPENSC]));
        assert!(!plan.changes(false) && plan.changes(true));
    }

    #[test]
    fn unregistering_takes_out_this_projects_modules_only() {
        let plan = plan_to_unregister(&modules(&[OPENSC, BOTH, OTHERS_NAME, OLD]));
        assert_eq!(plan, Plan { remove: modules(&[BOTH, OLD]), ..Plan::default() });
        assert!(!plan_to_unregister(&modules(&[OPENSC, OTHER])).changes(true));
    }
}
