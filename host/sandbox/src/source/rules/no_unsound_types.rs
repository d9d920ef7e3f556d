//! `source/no-unsound-types`
//!
//! The hole of rust-lang/rust#25860 takes a function of two lifetimes, one of which must outlive the other because a
//! parameter's type says so, and a function pointer that forgets it. Both halves are refused: function pointers but
//! those of numbers, and a second lifetime but that of the SDK's own types.

use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, FnArg, GenericArgument, Generics, Ident, ImplItem, ItemEnum, ItemImpl,
    ItemStruct, ItemType, Lifetime, LifetimeParam, PathArguments, PathSegment, ReturnType,
    Signature, Type, TypeFnPtr, TypeParam, TypeParamBound, TypeReference, TypeTraitObject,
    UseRename,
};

use super::{Parsed, SourceRule};
use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::Offence;

const CALLABLE: [&str; 3] = ["Fn", "FnMut", "FnOnce"];
/// What a function pointer may take and return: numbers, and the SDK's `Dual`, which borrows nothing.
const NUMBERS: [&str; 17] = [
    "Dual", "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
    "u32", "u64", "u128", "usize",
];
/// The SDK's types with a lifetime: that of the tape.
const OF_THE_TAPE: [&str; 2] = ["Batch", "Var"];
const ONE_LIFETIME: &str = "more than one lifetime in one declaration is not allowed, but for that of Var<'t> and Batch<'t>";

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: Rule {
        name: "source/no-unsound-types",
        stage: Stage::Source,
        what: "&'static mut, more than one lifetime in one declaration (that of Var<'t> and Batch<'t> is not counted), function \
         pointers of anything but numbers, and dyn of anything but Fn",
        why: "known holes of the language let these types keep what is gone, without unsafe (rust-lang/rust issues 25860, 57893)",
        hint: "leave lifetimes out or use the one of Var<'t>; return numbers; take functions and closures as impl Fn",
        rejected: Example::Source(
            "fn keep<'a, 'b>(_: &'a &'b (), x: &'b mut f64) -> &'a mut f64 { x }",
        ),
        accepted: Example::PLAIN,
    },
    find: |parsed| {
        let mut finder = Finder(None);
        finder.visit_file(&parsed.file);
        finder.0
    },
};

struct Finder(Option<Offence>);

impl Finder {
    fn found(&mut self, place: &impl syn::spanned::Spanned, message: &str) {
        if self.0.is_none() {
            self.0 = Some(Offence::at(place, message));
        }
    }

    fn at_most_one(&mut self, generics: &Generics) {
        if generics.lifetimes().count() > 1 {
            self.found(generics, ONE_LIFETIME);
        }
    }

    /// The rules trust these names, so nobody else may bear them.
    fn declared(&mut self, name: &Ident) {
        if NUMBERS.iter().chain(&OF_THE_TAPE).any(|taken| name == taken) {
            self.found(
                name,
                "a type with the name of a number or of the SDK's Var or Batch is not allowed",
            );
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.declared(&item.ident);
        self.at_most_one(&item.generics);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.declared(&item.ident);
        self.at_most_one(&item.generics);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.declared(&item.ident);
        self.at_most_one(&item.generics);
        visit::visit_item_type(self, item);
    }

    fn visit_type_param(&mut self, param: &'ast TypeParam) {
        self.declared(&param.ident);
        visit::visit_type_param(self, param);
    }

    fn visit_use_rename(&mut self, rename: &'ast UseRename) {
        self.declared(&rename.rename);
    }

    fn visit_bound_lifetimes(&mut self, bound: &'ast BoundLifetimes) {
        if bound.lifetimes.len() > 1 {
            self.found(bound, ONE_LIFETIME);
        }
        visit::visit_bound_lifetimes(self, bound);
    }

    /// A method has the lifetimes of its `impl` besides its own, and that of `&self`.
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.at_most_one(&item.generics);
        if item.generics.lifetimes().next().is_some() {
            for part in &item.items {
                if let ImplItem::Fn(method) = part
                    && (method.sig.generics.lifetimes().next().is_some()
                        || returns_from_self(&method.sig))
                {
                    self.found(&method.sig, ONE_LIFETIME);
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        let mut uses = Uses::default();
        uses.visit_signature(signature);
        let declared = signature.generics.lifetimes();
        let counted = declared.filter(|param| uses.0.contains(&&param.lifetime.ident));
        if counted.count() > 1 {
            self.found(signature, ONE_LIFETIME);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if let Some(outer) = &reference.lifetime {
            if reference.mutability.is_some() && outer.ident == "static" {
                self.found(reference, "&'static mut is not allowed");
            }
            let mut uses = Uses::default();
            uses.visit_type(&reference.elem);
            if uses.0.iter().any(|inner| **inner != outer.ident || outer.ident == "static") {
                self.found(
                    reference,
                    "a reference with a lifetime to what has another is not allowed",
                );
            }
        }
        visit::visit_type_reference(self, reference);
    }

    /// Parameters of a generic function, aliases and structs can hide references in a pointer's type.
    fn visit_type_fn_ptr(&mut self, pointer: &'ast TypeFnPtr) {
        let output = match &pointer.output {
            ReturnType::Default => true,
            ReturnType::Type(_, output) => is_number(output),
        };
        if !output || !pointer.inputs.iter().all(|input| is_number(&input.ty)) {
            self.found(pointer, "function pointers are not allowed but those of numbers");
        }
        visit::visit_type_fn_ptr(self, pointer);
    }

    fn visit_type_trait_object(&mut self, object: &'ast TypeTraitObject) {
        let callable = |bound: &TypeParamBound| match bound {
            TypeParamBound::Trait(bound) => {
                let last = bound.path.segments.last();
                last.is_some_and(|last| CALLABLE.iter().any(|name| last.ident == name))
            }
            _ => true,
        };
        if !object.bounds.iter().all(callable) {
            self.found(object, "dyn is not allowed but for Fn, FnMut and FnOnce");
        }
        visit::visit_type_trait_object(self, object);
    }
}

fn is_number(written: &Type) -> bool {
    let Type::Path(path) = written else {
        return false;
    };
    let name = path.path.get_ident().filter(|_| path.qself.is_none());
    name.is_some_and(|name| NUMBERS.iter().any(|number| name == number))
}

/// Whether a method borrows its result from `&self` and takes something else with a lifetime of its own.
fn returns_from_self(signature: &Signature) -> bool {
    let mut output = Unnamed(false);
    output.visit_return_type(&signature.output);
    let mut others = Uses::default();
    for input in &signature.inputs {
        if let FnArg::Typed(input) = input {
            others.visit_type(&input.ty);
        }
    }
    signature.receiver().is_some() && output.0 && !others.0.is_empty()
}

/// Whether a reference has no lifetime, or a type has `'_`.
struct Unnamed(bool);

impl<'ast> Visit<'ast> for Unnamed {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        self.0 |= reference.lifetime.is_none();
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.0 |= lifetime.ident == "_";
    }
}

/// The lifetimes that are named anywhere but in `Var<'t>` and `Batch<'t>`.
#[derive(Default)]
struct Uses<'ast>(Vec<&'ast Ident>);

impl<'ast> Visit<'ast> for Uses<'ast> {
    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        self.0.push(&lifetime.ident);
    }

    /// Its declaration is no use; its bounds are.
    fn visit_lifetime_param(&mut self, param: &'ast LifetimeParam) {
        for bound in &param.bounds {
            self.visit_lifetime(bound);
        }
    }

    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        let of_the_tape = OF_THE_TAPE.iter().any(|name| segment.ident == name);
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
            return visit::visit_path_segment(self, segment);
        };
        for argument in &arguments.args {
            if !(of_the_tape && matches!(argument, GenericArgument::Lifetime(_))) {
                self.visit_generic_argument(argument);
            }
        }
    }
}
