(component
  (core module $loss
    (memory (export "memory") 1 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "describe") (result i32) unreachable)
    (func (export "evaluate")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))
  (core instance $core (instantiate $loss))
  (alias core export $core "memory" (core memory $memory))
  (alias core export $core "realloc" (core func $realloc))

  (type $pairs (record
    (field "policy-chosen-logps" (list f64)) (field "policy-rejected-logps" (list f64))
    (field "reference-chosen-logps" (list f64)) (field "reference-rejected-logps" (list f64))
    (field "chosen-tokens" (list u32)) (field "rejected-tokens" (list u32))))
  (type $gradients (record
    (field "losses" (list f64)) (field "policy-chosen" (list f64)) (field "policy-rejected" (list f64))))
  (type $hyperparameter (record
    (field "name" string) (field "default" f64) (field "minimum" f64) (field "maximum" f64)))
  (type $scope (enum "pair" "batch"))
  (type $metadata (record
    (field "name" string) (field "summary" string) (field "citation" (option string))
    (field "scope" $scope) (field "hyperparameters" (list $hyperparameter))))
  (func $describe (result $metadata)
    (canon lift (core func $core "describe") (memory $memory)))
  (func $evaluate
    (param "pairs" $pairs) (param "hyperparameters" (list f64)) (result (result $gradients (error string)))
    (canon lift (core func $core "evaluate") (memory $memory) (realloc $realloc)))

  (component $interface
    (import "import-type-pairs" (type $pairs-in (eq $pairs)))
    (import "import-type-gradients" (type $gradients-in (eq $gradients)))
    (import "import-type-hyperparameter" (type $hyperparameter-in (eq $hyperparameter)))
    (import "import-type-scope" (type $scope-in (eq $scope)))
    (type $metadata-of-in (record
      (field "name" string) (field "summary" string) (field "citation" (option string))
      (field "scope" $scope-in) (field "hyperparameters" (list $hyperparameter-in))))
    (import "import-type-metadata" (type $metadata-in (eq $metadata-of-in)))
    (import "import-func-describe" (func $describe-in (result $metadata-in)))
    (import "import-func-evaluate" (func $evaluate-in
      (param "pairs" $pairs-in) (param "hyperparameters" (list f64))
      (result (result $gradients-in (error string)))))
    (export $pairs-out "pairs" (type $pairs-in))
    (export $gradients-out "gradients" (type $gradients-in))
    (export $hyperparameter-out "hyperparameter" (type $hyperparameter-in))
    (export $scope-out "scope" (type $scope-in))
    (type $metadata-of-out (record
      (field "name" string) (field "summary" string) (field "citation" (option string))
      (field "scope" $scope-out) (field "hyperparameters" (list $hyperparameter-out))))
    (export $metadata-out "metadata" (type $metadata-in) (type (eq $metadata-of-out)))
    (export "describe" (func $describe-in) (func (result $metadata-out)))
    (export "evaluate" (func $evaluate-in) (func
      (param "pairs" $pairs-out) (param "hyperparameters" (list f64))
      (result (result $gradients-out (error string))))))
  (instance $interface (instantiate $interface
    (with "import-type-pairs" (type $pairs))
    (with "import-type-gradients" (type $gradients))
    (with "import-type-hyperparameter" (type $hyperparameter))
    (with "import-type-scope" (type $scope))
    (with "import-type-metadata" (type $metadata))
    (with "import-func-describe" (func $describe))
    (with "import-func-evaluate" (func $evaluate))))
  (export "lossbox:preference/loss@0.1.0" (instance $interface)))
