//! `component/structure`

use super::ComponentRule;
use crate::Stage;
use crate::component::measure::{Measure, first_beyond};
use crate::component::survey::Survey;
use crate::limits::{
    ALIASES_MAX, CANONICAL_FUNCTIONS_MAX, COMPONENT_DEPTH_MAX, COMPONENT_INSTANCES_MAX,
    COMPONENT_TYPE_BYTES_MAX, COMPONENT_TYPE_DEPTH_MAX, COMPONENT_TYPES_MAX, CORE_INSTANCES_MAX,
    MODULES_MAX, NESTED_COMPONENTS_MAX,
};
use crate::rules::{Example, Rule};

pub(super) const RULE: ComponentRule = ComponentRule {
    page: Rule {
        name: "component/structure",
        stage: Stage::Component,
        what: "modules in nested components, modules used twice, components nested two deep, and more of them than the limits table allows",
        why: "each instance is memory, and nesting multiplies what is declared once",
        hint: "wrap one module as wit-component does",
        rejected: Example::Component(
            "(component (core module $m) (core instance (instantiate $m)) (core instance (instantiate $m)))",
        ),
        accepted: Example::PLAIN,
    },
    measures,
    find: |survey| {
        let structure = &survey.structure;
        if structure.nested_modules > 0 {
            return Some("a nested component has a module of its own".to_owned());
        }
        if structure.reused > 0 {
            return Some("a module or component is used more than once".to_owned());
        }
        first_beyond(&measures(survey))
    },
};

fn measures(survey: &Survey) -> Vec<Measure> {
    let structure = &survey.structure;
    vec![
        Measure::new("modules", structure.modules, MODULES_MAX),
        Measure::new("instances of modules", structure.core_instances, CORE_INSTANCES_MAX),
        Measure::new("nested components", structure.components, NESTED_COMPONENTS_MAX),
        Measure::new("components around the innermost", structure.depth, COMPONENT_DEPTH_MAX),
        Measure::new("component instances", structure.instances, COMPONENT_INSTANCES_MAX),
        Measure::new("bytes of component types", structure.type_bytes, COMPONENT_TYPE_BYTES_MAX),
        Measure::new("types around the innermost", structure.type_depth, COMPONENT_TYPE_DEPTH_MAX),
        Measure::new("component types", structure.types, COMPONENT_TYPES_MAX),
        Measure::new("aliases", structure.aliases, ALIASES_MAX),
        Measure::new("canonical functions", structure.canonical_functions, CANONICAL_FUNCTIONS_MAX),
    ]
}
