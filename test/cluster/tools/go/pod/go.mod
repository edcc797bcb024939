module esteira.test/pod

go 1.24.0
