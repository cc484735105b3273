"""What models cost: parameters and multiply-accumulates, counted or in closed form."""
