"""The single checks of a scene, each of one kind of fault; `twin.scene.check` runs them."""
