//! `source/no-unsound-types`

use syn::visit::{self, Visit};
use syn::{ReturnType, Type, TypeFnPtr, TypeParamBound, TypeReference, TypeTraitObject};

use super::{Parsed, SourceRule, page};
use crate::source::Offence;

const CALLABLE: [&str; 3] = ["Fn", "FnMut", "FnOnce"];

pub(super) const RULE: SourceRule<Parsed> = SourceRule {
    page: page(
        "source/no-unsound-types",
        "&'static mut, references to references with lifetimes of their own, function pointers that return references, \
         and dyn of anything but Fn",
        "known holes of the language let these types keep what is gone, without unsafe (rust-lang/rust issues 25860, 57893)",
        "leave lifetimes out or use the one of Var<'t>; return numbers; take closures as impl Fn",
        "fn keep<'a, 'b>(_: &'a &'b (), x: &'b mut f64) -> &'a mut f64 { x }",
    ),
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
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let lifetime = reference.lifetime.as_ref();
        if reference.mutability.is_some() && lifetime.is_some_and(|name| name.ident == "static") {
            self.found(reference, "&'static mut is not allowed");
        }
        let inner = match &*reference.elem {
            Type::Reference(inner) => inner.lifetime.as_ref(),
            _ => None,
        };
        if lifetime.is_some() && inner.is_some() {
            self.found(
                reference,
                "references to references with two lifetimes are not allowed",
            );
        }
        visit::visit_type_reference(self, reference);
    }

    fn visit_type_fn_ptr(&mut self, pointer: &'ast TypeFnPtr) {
        if let ReturnType::Type(_, output) = &pointer.output
            && matches!(**output, Type::Reference(_))
        {
            self.found(
                pointer,
                "function pointers that return references are not allowed",
            );
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
