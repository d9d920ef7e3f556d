;; expect: component/no-imports
;; note: unknown host function
;; slot component
(component (import "system" (func (param "command" u32)))
