module github.com/maru-msa/maru

go 1.26.0
