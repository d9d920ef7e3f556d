;; expect: component/valid
;; note: the module imports what nobody provides
;; slot imports
(import "env" "system" (func $s (param i32) (result i32)))
