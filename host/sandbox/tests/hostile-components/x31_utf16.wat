;; expect: component/canonical
;; note: texts in UTF-16
;; slot lift-describe
(canon lift (core func $core "describe") (memory $memory) string-encoding=utf16)
