package config

func (w *whole) loops() {}
