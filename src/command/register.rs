//! `register` and `unregister`: the module in the NSS profiles of this user.
//!
//! First everything is looked at and a plan is made for each profile. Then the question about
//! OpenSC's module is asked, if there is one. Only then profiles are changed, each while no program
//! uses it.

mod autostart;
mod libraries;
mod modutil;
mod plan;

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use jpki_pkcs11::os::effective_user;

use self::autostart::OwnEntry;
use self::modutil::Modutil;
pub(crate) use self::plan::Plan;
use self::plan::{plan_to_register, plan_to_unregister};
use crate::arguments::{DRY_RUN, LIBRARY_DIR, PROGRAM, REMOVE_OPENSC};
use crate::output::{Exit, Output};
use crate::profiles::{
    Folders, InUse, Kind, MODULES_FILE, Module, Profile, Program, Unreadable, autostart, claim, in_use,
    modules, profiles,
};
use crate::text::os_error;
use crate::text::profiles as text_of_profiles;
use crate::text::register as text;

/// What was asked for.
struct Request<'a> {
    programs: Vec<Program>,
    /// The person named one program, and expects it to be there.
    is_one: bool,
    is_registering: bool,
    is_dry_run: bool,
    remove_opensc: bool,
    folders: &'a Folders,
}

/// Puts the module into the profiles of the program that `matches` names.
pub(crate) fn register(matches: &ArgMatches, output: &mut Output) -> Exit {
    let Some(folders) = Folders::of_this_user() else {
        output.remark(text::no_home(output.language()));
        return Exit::CannotTell;
    };
    let mut request = Request::new(matches, &folders);
    request.is_registering = true;
    request.remove_opensc = matches.get_flag(REMOVE_OPENSC);
    let folder = matches.get_one::<PathBuf>(LIBRARY_DIR);
    let libraries = match libraries::find(folder.map(PathBuf::as_path), &request.programs) {
        Ok(libraries) => libraries,
        Err(missing) => {
            output.remark(&text::no_library(output.language(), missing.name, &missing.folders));
            return Exit::ToDo;
        }
    };
    let mut run = Run::new(output, &request);
    run.look(|profile, found| plan_to_register(found, &libraries.of(profile.program)));
    if run.has_modutil() {
        run.ask_about_opensc();
        run.change();
    }
    run.exit
}

/// Takes it out again.
pub(crate) fn unregister(matches: &ArgMatches, output: &mut Output) -> Exit {
    let Some(folders) = Folders::of_this_user() else {
        output.remark(text::no_home(output.language()));
        return Exit::CannotTell;
    };
    let request = Request::new(matches, &folders);
    let mut run = Run::new(output, &request);
    run.look(|_, found| plan_to_unregister(found));
    if run.has_modutil() {
        run.change();
        if !request.is_one {
            run.remove_own_autostart_entry();
        }
    }
    run.exit
}

impl<'a> Request<'a> {
    fn new(matches: &ArgMatches, folders: &'a Folders) -> Self {
        let name = matches.get_one::<String>(PROGRAM).map_or("all", String::as_str);
        let named = |program: &Program| program.word() == name;
        let one = Program::ALL.into_iter().find(named);
        Self {
            programs: one.map_or_else(|| Program::ALL.to_vec(), |program| vec![program]),
            is_one: one.is_some(),
            is_registering: false,
            is_dry_run: matches.get_flag(DRY_RUN),
            remove_opensc: false,
            folders,
        }
    }
}

/// One run of either subcommand: what is to be done, and how it went so far.
struct Run<'a> {
    output: &'a mut Output,
    request: &'a Request<'a>,
    plans: Vec<(Profile, Plan)>,
    modutil: Option<Modutil>,
    /// OpenSC's module is taken out.
    removes_opensc: bool,
    exit: Exit,
}

impl<'a> Run<'a> {
    fn new(output: &'a mut Output, request: &'a Request<'a>) -> Self {
        let removes_opensc = request.remove_opensc;
        Self {
            output,
            request,
            plans: Vec::new(),
            modutil: Modutil::find(),
            removes_opensc,
            exit: Exit::Well,
        }
    }

    /// Plans what is to be done in each profile that can be changed, and says which cannot.
    fn look(&mut self, plan: impl Fn(&Profile, &[Module]) -> Plan) {
        for &program in &self.request.programs {
            let mut unreadable = Vec::new();
            let found = profiles(program, self.request.folders, &mut unreadable);
            for list in &unreadable {
                self.unreadable(list);
            }
            let (boxed, native): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|profile| profile.sandbox.is_some());
            let is_any = !native.is_empty() || !unreadable.is_empty();
            for profile in native {
                self.look_at(profile, &plan);
            }
            if self.request.is_registering || !is_any {
                self.say_sandboxed(&boxed);
            }
            if boxed.is_empty() && !is_any {
                self.find_nothing(program);
            }
        }
    }

    /// Says of programs that they can load no module of the system. So nothing has to be taken out
    /// of them either.
    fn say_sandboxed(&mut self, boxed: &[Profile]) {
        let language = self.output.language();
        for profile in boxed {
            let Some(sandbox) = profile.sandbox else { continue };
            if self.request.is_registering {
                self.output.line(&text::sandboxed(language, profile, sandbox));
                self.raise(Exit::ToDo);
            } else {
                self.output.line(&text::sandboxed_anyway(language, profile, sandbox));
            }
        }
    }

    /// A program has no profile.
    fn find_nothing(&mut self, program: Program) {
        let language = self.output.language();
        if !self.request.is_registering {
            self.output.line(&text::nothing_to_unregister(language, program));
            return;
        }
        self.output.line(&text::no_profile(language, program));
        if self.request.is_one {
            self.raise(Exit::ToDo);
        }
    }

    fn look_at(&mut self, profile: Profile, plan: impl Fn(&Profile, &[Module]) -> Plan) {
        let language = self.output.language();
        if owner(&profile.directory).is_some_and(|owner| owner != effective_user()) {
            self.output.line(&text::of_another_user(language, &profile));
            self.raise(Exit::ToDo);
            return;
        }
        if profile.directory.join("cert8.db").exists() && !profile.directory.join("cert9.db").exists() {
            self.output.line(&text::too_old(language, &profile));
            self.raise(Exit::ToDo);
            return;
        }
        match modules(&profile.directory) {
            Ok(found) => self.plans.push((profile.clone(), plan(&profile, &found))),
            Err(error) => {
                let file = profile.directory.join(MODULES_FILE);
                self.unreadable(&Unreadable::new(profile.program, file, &error));
            }
        }
    }

    fn unreadable(&mut self, list: &Unreadable) {
        self.output.line(&text_of_profiles::unreadable(self.output.language(), list));
        self.raise(Exit::CannotTell);
    }

    /// Whether everything is there that a change needs. Otherwise no question is worth asking.
    fn has_modutil(&mut self) -> bool {
        let is_needed = self.plans.iter().any(|(_, plan)| plan.changes(self.removes_opensc));
        if !is_needed || self.modutil.is_some() {
            return true;
        }
        self.output.remark(text::no_modutil(self.output.language()));
        self.raise(Exit::ToDo);
        false
    }

    /// Decides about OpenSC's module: by the option, or by a question at a terminal, or not.
    fn ask_about_opensc(&mut self) {
        let with_opensc: Vec<_> = self
            .plans
            .iter()
            .filter(|(_, plan)| !plan.opensc.is_empty())
            .map(|(profile, _)| profile)
            .collect();
        let autostart = autostart(self.request.folders);
        // Where nothing can be registered, OpenSC's module is in front of no module of ours.
        if self.plans.is_empty() || (with_opensc.is_empty() && autostart.is_none()) {
            return;
        }
        let language = self.output.language();
        if !self.removes_opensc {
            let finding = text::opensc_in_front(language, &with_opensc, autostart.as_deref());
            self.output.line(&finding);
            let is_at_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
            let can_ask = !self.request.is_dry_run && self.modutil.is_some() && is_at_terminal;
            let is_there = !with_opensc.is_empty();
            self.removes_opensc = can_ask && self.output.ask(text::ask_to_remove_opensc(language, is_there));
            if !self.removes_opensc {
                self.output.line(text::opensc_stays(language, is_there));
            }
        }
        if let (true, Some(entry)) = (self.removes_opensc, autostart) {
            self.end_autostart(&entry);
        }
    }

    /// Ends OpenSC's autostart for this user.
    fn end_autostart(&mut self, entry: &Path) {
        let language = self.output.language();
        let own = OwnEntry::of(self.request.folders);
        let is_replaced = own.is_of_the_person();
        if self.request.is_dry_run {
            let text = if is_replaced {
                text::would_replace_entry(language, own.path(), own.kept())
            } else {
                text::would_end_autostart(language, entry, own.path())
            };
            self.output.line(&text);
            return;
        }
        match own.hide() {
            Ok(()) if is_replaced => {
                self.output.line(&text::entry_replaced(language, own.path(), own.kept()));
            }
            Ok(()) => self.output.line(&text::autostart_ended(language, entry, own.path())),
            Err(error) => {
                self.output.line(&text::autostart_stays(language, own.path(), &error.to_string()));
                self.raise(Exit::CannotTell);
            }
        }
    }

    /// Takes back what [`Run::end_autostart`] wrote, and no other file of that name.
    fn remove_own_autostart_entry(&mut self) {
        let language = self.output.language();
        let own = OwnEntry::of(self.request.folders);
        if !own.is_ours() {
            return;
        }
        let is_kept = own.has_kept();
        if self.request.is_dry_run {
            let text = if is_kept { text::would_put_entry_back } else { text::would_remove_entry };
            self.output.line(&text(language, own.path()));
        } else if own.take_back().is_ok() {
            let text = if is_kept { text::entry_put_back } else { text::entry_removed };
            self.output.line(&text(language, own.path()));
        }
    }

    /// Does what was planned.
    fn change(&mut self) {
        let plans = std::mem::take(&mut self.plans);
        let language = self.output.language();
        let modutil = self.modutil.take();
        let mut needs_ca = false;
        for (profile, plan) in &plans {
            match &modutil {
                Some(modutil) if plan.changes(self.removes_opensc) => {
                    let is_done = self.change_profile(profile, plan, modutil);
                    needs_ca |= is_done && plan.add.is_some() && profile.program == Program::Thunderbird;
                }
                _ => self.output.line(&text::nothing_to_do(language, profile, plan)),
            }
        }
        if needs_ca {
            self.output.line(text::thunderbird_needs_ca(language));
        }
        if self.request.is_dry_run {
            self.output.line(text::dry_run(language));
        }
    }

    /// Whether the profile was changed.
    fn change_profile(&mut self, profile: &Profile, plan: &Plan, modutil: &Modutil) -> bool {
        let language = self.output.language();
        let opensc = if self.removes_opensc { plan.opensc.as_slice() } else { &[] };
        let taken_out: Vec<_> = plan.remove.iter().chain(opensc).collect();
        if self.request.is_dry_run {
            match in_use(profile, self.request.folders) {
                Some(found) => self.in_use(profile, &found),
                None => self.output.line(&text::would_change(language, profile, &taken_out, plan)),
            }
            return false;
        }
        let claim = match claim(profile, self.request.folders) {
            Ok(claim) => claim,
            Err(found) => {
                self.in_use(profile, &found);
                return false;
            }
        };
        if profile.program == Program::Chromium && !profile.directory.exists() {
            // As Chromium makes it: other users may not look into it.
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&profile.directory);
            if let Err(error) = made {
                let why = os_error(self.output.language(), error.raw_os_error());
                self.failed(profile, &why);
                return false;
            }
        }
        let result = modutil.change(&profile.directory, &taken_out, plan.add.as_ref());
        drop(claim);
        match &result {
            Ok(()) => self.output.line(&text::changed(language, profile, &taken_out, plan)),
            Err(why) => self.failed(profile, why),
        }
        result.is_ok()
    }

    fn failed(&mut self, profile: &Profile, why: &str) {
        self.output.line(&text::failed(self.output.language(), profile, why));
        self.raise(Exit::CannotTell);
    }

    fn in_use(&mut self, profile: &Profile, found: &InUse) {
        self.output.line(&text::in_use(self.output.language(), profile, found));
        self.raise(Exit::ToDo);
    }

    fn raise(&mut self, exit: Exit) {
        self.exit = self.exit.max(exit);
    }
}

/// The user whom a folder belongs to; of a folder that is to be made, the one above it.
fn owner(directory: &Path) -> Option<u32> {
    directory.ancestors().find_map(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.uid())
}
